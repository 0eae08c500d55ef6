"""Data sets: each layout is recognised, and a contradiction is told in a sentence."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from training.datasets import Clip, Dataset, DatasetError, load_dataset


def touch(*paths: Path) -> None:
    """Make files; a layout is recognised without opening any audio."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


URBANSOUND_ROWS = (
    "slice_file_name,fsID,start,end,salience,fold,classID,class",
    "100032-3-0-0.wav,100032,0.0,0.3,1,10,3,dog_bark",
    "100263-2-0-117.wav,100263,58.5,62.5,1,2,2,children_playing",
    "100263-2-0-121.wav,100263,60.5,64.5,2,2,2,children_playing",
    "100648-1-0-0.wav,100648,4.8,5.4,2,1,1,car_horn",
)


@pytest.fixture
def urbansound(tmp_path: Path) -> Path:
    """Folds 2 and 10 of UrbanSound8K, as Ogg Vorbis; fold 1 was not copied."""
    write(tmp_path / "metadata" / "UrbanSound8K.csv", *URBANSOUND_ROWS)
    touch(
        tmp_path / "audio" / "fold10" / "100032-3-0-0.ogg",
        tmp_path / "audio" / "fold2" / "100263-2-0-117.ogg",
        tmp_path / "audio" / "fold2" / "100263-2-0-121.ogg",
        tmp_path / "audio" / "fold2" / "not in the table.ogg",
    )
    return tmp_path


def test_urbansound8k_is_what_its_table_says(urbansound: Path) -> None:
    dataset = load_dataset(urbansound)
    audio = urbansound / "audio"
    assert (dataset.name, dataset.licence) == ("UrbanSound8K", "CC BY-NC 3.0")
    assert dataset.clips == (
        Clip(audio / "fold10" / "100032-3-0-0.ogg", "dog_bark", "10", "100032", "foreground"),
        Clip(
            audio / "fold2" / "100263-2-0-117.ogg", "children_playing", "2", "100263", "foreground"
        ),
        Clip(
            audio / "fold2" / "100263-2-0-121.ogg", "children_playing", "2", "100263", "background"
        ),
    )
    assert dataset.labels == ["children_playing", "dog_bark"]
    assert dataset.folds == ["2", "10"]
    assert dataset.has_groups


def test_urbansound8k_prefers_the_file_that_the_table_names(urbansound: Path) -> None:
    named = urbansound / "audio" / "fold10" / "100032-3-0-0.wav"
    touch(named)
    assert load_dataset(urbansound).clips[0].path == named


def test_a_missing_file_of_urbansound8k_stays_listed(urbansound: Path) -> None:
    (urbansound / "audio" / "fold10" / "100032-3-0-0.ogg").unlink()
    missing = load_dataset(urbansound).clips[0].path
    assert missing == urbansound / "audio" / "fold10" / "100032-3-0-0.wav"


@pytest.mark.parametrize("suffix", ["wav", "ogg"])
@pytest.mark.parametrize("with_source", [True, False])
def test_esc50_is_what_its_table_says(tmp_path: Path, suffix: str, with_source: bool) -> None:
    rows = [
        "filename,fold,target,category,esc10,src_file",
        "1-100032-A-0.wav,1,0,dog,True,100032",
        "5-100210-B-36.wav,5,36,vacuum_cleaner,False,100210",
    ]
    if not with_source:
        rows = [row.rpartition(",")[0] for row in rows]
    first, second = ("100032", "100210") if with_source else (None, None)
    write(tmp_path / "meta" / "esc50.csv", *rows)
    audio = tmp_path / "audio"
    touch(audio / f"1-100032-A-0.{suffix}", audio / f"5-100210-B-36.{suffix}")
    dataset = load_dataset(tmp_path)
    assert (dataset.name, dataset.licence) == ("ESC-50", "CC BY-NC 3.0")
    assert dataset.clips == (
        Clip(audio / f"1-100032-A-0.{suffix}", "dog", "1", first),
        Clip(audio / f"5-100210-B-36.{suffix}", "vacuum_cleaner", "5", second),
    )


def test_esc10_folders_give_label_fold_and_recording(tmp_path: Path) -> None:
    dog = tmp_path / "001 - Dog bark"
    rain = tmp_path / "002 - Rain"
    touch(dog / "1-100032-A.ogg", dog / "3-30344-B.ogg", rain / "2-82367-A.ogg")
    touch(dog / "readme.txt", tmp_path / "LICENSE")
    dataset = load_dataset(tmp_path)
    assert (dataset.name, dataset.licence) == ("ESC-10", "CC BY 3.0")
    assert dataset.clips == (
        Clip(dog / "1-100032-A.ogg", "dog_bark", "1", "100032"),
        Clip(dog / "3-30344-B.ogg", "dog_bark", "3", "30344"),
        Clip(rain / "2-82367-A.ogg", "rain", "2", "82367"),
    )


def test_other_labels_in_such_folders_are_esc50_with_its_licence(tmp_path: Path) -> None:
    touch(tmp_path / "001 - Dog bark" / "1-100032-A.ogg", tmp_path / "014 - Birds" / "1-9-A.ogg")
    dataset = load_dataset(tmp_path)
    assert (dataset.name, dataset.licence) == ("ESC-50", "CC BY-NC 3.0")


def test_hidden_files_are_no_clips(tmp_path: Path) -> None:
    touch(tmp_path / "cat" / "a.wav", tmp_path / "dog" / "b.wav")
    touch(tmp_path / "cat" / "._a.wav", tmp_path / "dog" / ".trash" / "c.wav")
    assert [clip.path.name for clip in load_dataset(tmp_path).clips] == ["a.wav", "b.wav"]


def test_names_that_no_report_could_hold_are_told_before_any_work(tmp_path: Path) -> None:
    touch(tmp_path / "cat" / "a.wav", tmp_path / "dog" / "b.wav")
    (tmp_path / "cat" / os.fsdecode("café.wav".encode("latin-1"))).touch()
    with pytest.raises(DatasetError, match=r"and 1 are not, .*/cat/caf\ufffd\.wav .*rename"):
        load_dataset(tmp_path)


def test_so_is_a_data_sets_own_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode("données.csv".encode("latin-1"))
    write(path, "path,label", "a.wav,a", "b.wav,b")
    with pytest.raises(DatasetError, match=r"donn\ufffdes for one"):
        load_dataset(path)


def test_spaces_around_a_name_make_no_other_group(tmp_path: Path) -> None:
    table = write(
        tmp_path / "sounds.csv",
        "path,label,group",
        "a.wav, cat,ada",
        "b.wav,cat ,ada ",
        "c.wav,dog,bea",
    )
    clips = load_dataset(table).clips
    assert [(clip.label, clip.group) for clip in clips] == [
        ("cat", "ada"), ("cat", "ada"), ("dog", "bea"),
    ]  # fmt: skip


def test_a_clip_of_esc10_without_a_fold_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "001 - Dog bark" / "1-100032-A.ogg", tmp_path / "002 - Rain" / "rain.ogg")
    with pytest.raises(DatasetError, match=r"rain\.ogg is not named <fold>-<recording>-<take>"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("suffix", ["m4a", "mp4", "aac", "webm", "amr", "3gp"])
def test_what_phones_and_browsers_record_is_taken(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path / "cat" / f"a.{suffix}", tmp_path / "dog" / f"b.{suffix}")
    assert [clip.label for clip in load_dataset(tmp_path).clips] == ["cat", "dog"]


def test_a_folder_a_class(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    touch(root / "dog" / "b.WAV", root / "dog" / "a.mp3", root / "cat" / "2024" / "may" / "c.flac")
    touch(root / "cat" / "notes.txt", root / ".cache" / "x.wav", root / "_noise_" / "x.wav")
    touch(root / "loose.wav")
    dataset = load_dataset(root)
    assert (dataset.name, dataset.licence) == ("pets", "not stated")
    assert dataset.clips == (
        Clip(root / "cat" / "2024" / "may" / "c.flac", "cat"),
        Clip(root / "dog" / "a.mp3", "dog"),
        Clip(root / "dog" / "b.WAV", "dog"),
    )
    assert dataset.folds == []
    assert not dataset.has_groups


def test_the_order_of_clips_does_not_hang_on_the_file_system(tmp_path: Path) -> None:
    names = ["dog/b.wav", "cat/z.wav", "dog/a.wav", "cat/a.wav", "ant/m.wav"]
    touch(*(tmp_path / "one" / name for name in names))
    touch(*(tmp_path / "two" / name for name in reversed(names)))
    first, second = (
        [clip.path.relative_to(tmp_path / root) for clip in load_dataset(tmp_path / root).clips]
        for root in ("one", "two")
    )
    assert first == second == [Path(name) for name in sorted(names)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv(tmp_path: Path, encoding: str) -> None:
    path = write(
        tmp_path / "birds.csv",
        "label,path,recordist",
        "Zaunkönig,a/1.wav,Ada",
        f'"Amsel, laut",{tmp_path / "elsewhere.wav"},Ben',
        encoding=encoding,
    )
    dataset = load_dataset(path)
    assert (dataset.name, dataset.licence) == ("birds", "not stated")
    assert dataset.clips == (
        Clip(tmp_path / "a" / "1.wav", "Zaunkönig"),
        Clip(tmp_path / "elsewhere.wav", "Amsel, laut"),
    )


def test_a_csv_with_folds_and_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "path,label,fold,group", "a.wav,a,2,x", "b.wav,b,10,y")
    assert load_dataset(path).clips == (
        Clip(tmp_path / "a.wav", "a", "2", "x"),
        Clip(tmp_path / "b.wav", "b", "10", "y"),
    )


def test_empty_folds_and_groups_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "path,label,fold,group", "a.wav,a,,", "b.wav,b,,")
    assert load_dataset(path).clips == (
        Clip(tmp_path / "a.wav", "a"),
        Clip(tmp_path / "b.wav", "b"),
    )


def test_a_csv_with_salience(tmp_path: Path) -> None:
    words = ("foreground", "background", "1", "2", "")
    rows = [f"{place}.wav,{'ab'[place % 2]},{word}" for place, word in enumerate(words)]
    path = write(tmp_path / "x.csv", "path,label,salience", *rows)
    assert [clip.salience for clip in load_dataset(path).clips] == [
        "foreground", "background", "foreground", "background", None,
    ]  # fmt: skip


def test_an_unknown_salience_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "path,label,salience", "a.wav,a,loud", "b.wav,b,2")
    with pytest.raises(DatasetError, match=r"x\.csv has the salience 'loud'; it is foreground"):
        load_dataset(path)


def test_folds_are_in_natural_order() -> None:
    folds = ("10", "2", "test", "1", "dev")
    clips = tuple(Clip(Path(fold), fold, fold) for fold in folds)
    assert Dataset("x", "y", clips).folds == ["1", "2", "10", "dev", "test"]


def test_folds_can_be_selected(urbansound: Path) -> None:
    dataset = load_dataset(urbansound)
    selected = dataset.select_folds(["10"])
    assert selected.clips == dataset.clips[:1]
    assert (selected.name, selected.licence) == (dataset.name, dataset.licence)


@pytest.mark.parametrize("folds", [["3"], ["2", "3"], [""], ["02"]])
def test_a_fold_that_does_not_occur_is_refused(urbansound: Path, folds: list[str]) -> None:
    with pytest.raises(DatasetError, match=r"UrbanSound8K has no fold .*; it has: 2, 10"):
        load_dataset(urbansound).select_folds(folds)


def csv_of(*lines: str) -> Callable[[Path], Path]:
    return lambda folder: write(folder / "sounds.csv", *lines)


def bytes_of(content: bytes) -> Callable[[Path], Path]:
    def write_bytes(folder: Path) -> Path:
        (folder / "sounds.csv").write_bytes(content)
        return folder / "sounds.csv"

    return write_bytes


def empty_folder(folder: Path) -> Path:
    return folder


def folder_without_audio(folder: Path) -> Path:
    touch(folder / "dog" / "a.txt", folder / "cat" / "b.pdf")
    return folder


def one_label(folder: Path) -> Path:
    touch(folder / "dog" / "a.wav", folder / "dog" / "b.wav")
    return folder


def table_without_class(folder: Path) -> Path:
    write(folder / "metadata" / "UrbanSound8K.csv", "slice_file_name,fsID,fold", "a.wav,1,1")
    return folder


def table_without_audio(folder: Path) -> Path:
    write(folder / "metadata" / "UrbanSound8K.csv", *URBANSOUND_ROWS)
    return folder


def a_clip_in_two_groups(folder: Path) -> Path:
    touch(folder / "dog" / "a.wav", folder / "cat" / "b.wav")
    write(folder / "groups.csv", "path,group", "dog/a.wav,ada", "cat/b.wav,ada", "dog/a.wav,bea")
    return folder


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda folder: folder / "missing", "does not exist"),
    "an empty folder": (empty_folder, "holds no clip in a known layout: UrbanSound8K, ESC-50"),
    "no audio": (folder_without_audio, "holds no clip"),
    "a table without audio": (table_without_audio, "holds no clip"),
    "one label": (one_label, "holds only the label 'dog'; two are needed"),
    "a table without a column": (table_without_class, r"UrbanSound8K\.csv has no column class"),
    "an empty CSV": (csv_of(""), "has no column path, label"),
    "a CSV without clips": (csv_of("path,label"), "holds no clip"),
    "a CSV without labels": (csv_of("path,fold", "a.wav,1"), "has no column label"),
    "a CSV with semicolons": (csv_of("path;label", "a.wav;a"), "has no column path, label"),
    "some clips without fold": (
        csv_of("path,label,fold", "a.wav,a,1", "b.wav,b,", "c.wav,a,2"),
        "1 clips have no fold, the others have one",
    ),
    "some clips without group": (
        csv_of("path,label,group", "a.wav,a,x", "b.wav,b,", "c.wav,a,"),
        "2 clips have no group, the others have one",
    ),
    "a clip twice": (csv_of("path,label", "a.wav,a", "b.wav,b", "a.wav,b"), r"a\.wav more than"),
    "a row without its label": (csv_of("path,label", "a.wav,a", "b.wav", "c.wav,c"), "label"),
    "an empty label": (csv_of("path,label", "a.wav,a", "b.wav,", "c.wav,c"), "label"),
    "an empty path": (csv_of("path,label", "a.wav,a", ",b", "c.wav,c"), "path"),
    "a CSV in another encoding": (
        bytes_of("path,label\na.wav,Zaunkönig\nb.wav,Amsel\n".encode("latin-1")),
        r"sounds\.csv",
    ),
    "a sound instead of a CSV": (bytes_of(b"RIFF\xff\xfe\x00\x00WAVEfmt "), r"sounds\.csv"),
    "a clip in two groups": (a_clip_in_two_groups, r"groups\.csv names dog/a\.wav more than once"),
    "a group in two folds": (
        csv_of("path,label,fold,group", "a.wav,a,1,x", "b.wav,b,2,x", "c.wav,a,2,y"),
        "group",
    ),
}


@pytest.mark.parametrize(
    ("make", "reason"), [pytest.param(*case, id=name) for name, case in REFUSED.items()]
)
def test_what_contradicts_itself_is_refused_with_a_sentence(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(DatasetError, match=reason) as raised:
        load_dataset(path)
    assert str(tmp_path) in str(raised.value)


def test_the_same_table_lists_the_same_clips_wherever_it_lies(urbansound: Path) -> None:
    moved = shutil.copytree(urbansound, urbansound / "moved")
    before, after = load_dataset(urbansound), load_dataset(moved)
    assert [clip.path.relative_to(urbansound) for clip in before.clips] == [
        clip.path.relative_to(moved) for clip in after.clips
    ]
