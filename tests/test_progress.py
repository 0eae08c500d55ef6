"""Progress: in a terminal, what goes on is seen, however much is over."""

import io
import re

from rich.console import Console

from app.progress import show_progress

FRAME = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")  # what clears the rows of the last frame


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=24, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_the_work_that_goes_on_alone() -> None:
    console = terminal()
    with show_progress(console) as begin:
        folds = begin("folds fitted", 30)
        for fold in range(1, 31):
            counting = begin(f"fold {fold}: counting epochs", 40)
            for _ in range(3):  # stopped early
                counting("loss 1.5")
            fitting = begin(f"fold {fold}: fitting", 3)
            for _ in range(3):
                fitting("loss 1.2")
            if fold < 30:
                folds("")
    *_, frame = FRAME.split(written(console))
    rows = [line for line in frame.splitlines() if "fold" in line]
    assert len(rows) == 2
    assert re.search("folds fitted .*29/30", rows[0])
    assert re.search("fold 30: fitting .*3/3", rows[1])


def test_work_that_goes_on_after_others_began_is_shown_again() -> None:
    console = terminal()
    with show_progress(console) as begin:
        fits = begin("fits", 3)
        fits("")
        begin("computing features", 2)("")
        fits("")
    *_, frame = FRAME.split(written(console))
    assert re.search("fits .*2/3", frame)


def test_a_log_is_told_each_tenth() -> None:
    console = Console(file=io.StringIO(), width=100)
    with show_progress(console) as begin:
        advance = begin("computing features", 40)
        for _ in range(40):
            advance("note")
    assert written(console).splitlines() == [
        f"computing features: {done} of 40 note" for done in range(4, 41, 4)
    ]
