"""Every word that a caption may hold, and those that mean the same."""

from __future__ import annotations

_WORDS = """
a one; an; the; and; of; on; in; at; by near; with; against; under; day; corner; ground background backdrop; sky skies;
red crimson scarlet; orange; yellow golden gold blond blonde; green emerald; blue azure cobalt; purple violet lilac
mauve; pink; brown chestnut brunette; black; white; grey gray silver;
circle disc disk ball dot sphere; square box rectangle block; triangle; star; heart; ring hoop donut doughnut;
diamond rhombus lozenge; cross plus; small little tiny; large big huge giant; left; right; top upper; bottom lower;
middle centre center centred centered central; above over; below beneath underneath; beside next to; two; three;
sea ocean water waves seaside; beach shore coast sand; hills hill hillside; mountains mountain peak peaks;
meadow field fields grass lawn pasture; house cottage home cabin hut; tree; boat ship sailboat sailing yacht;
lighthouse; sun; moon crescent moonlight moonlit; stars starry; clouds cloud; flower rose daisy blossom poppy tulip;
flowers roses daisies blossoms poppies tulips; face portrait head; smiling happy smile cheerful laughing;
sad unhappy frowning; hair haired; sunny sunshine; sunset dusk evening twilight sunrise dawn; night midnight;
rain rainy raining; snow snowy snowing winter; fog foggy mist misty haze; cloudy overcast; illustration cartoon
clipart; watercolour watercolor aquarelle; oil; canvas; painting painted; ink pen; drawing drawn sketch;
photograph photo photography photographic photorealistic
"""
WORDS: dict[str, tuple[str, ...]] = {group.split()[0]: tuple(group.split()[1:]) for group in _WORDS.split(";")}
"""The synonyms of each word that captions hold."""
