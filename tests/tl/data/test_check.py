"""Every kind of fault is found and named, and a cleaned manifest loses them."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tl.data.scenes import encode, scene, sound_files, turned, write_files
from tl.config import DataConfig
from tl.data.check import CheckReport, check_dataset, quick_findings
from tl.data.check_page import check_page
from tl.data.clean import clean, manifest
from tl.data.example import column
from tl.data.findings.classes import plain_label
from tl.data.findings.finding import KINDS, NAMED_AT_MOST, Finding, printable
from tl.data.formats.options import SourceOptions
from tl.data.prepare import prepare_data
from tl.data.sources import open_dataset
from tl.errors import ConfigError, DatasetError


def check(root: Path, threads: int | None = None) -> CheckReport:
    return check_dataset(
        open_dataset(str(root)),
        max_pixels=10**8,
        folder=root if root.is_dir() else None,
        threads=threads,
    )


def of_kind(report: CheckReport, kind: str) -> list[Finding]:
    return [one for one in report.findings if one.kind == kind]


def flat(colour: int) -> bytes:
    return encode(np.full((90, 90, 3), colour, np.uint8))


def png_of_scene(number: int) -> bytes:
    return encode(scene(number), ".png")


FAULTS: dict[str, tuple[dict[str, bytes], str, set[str]]] = {
    "cut-off JPEG": ({"cats/x.jpg": encode(scene(701))[:-9]}, "unreadable", {"cats/x.jpg"}),
    "cut-off PNG": ({"cats/x.png": png_of_scene(702)[:-99]}, "unreadable", {"cats/x.png"}),
    "empty file": ({"cats/x.jpg": b""}, "unreadable", {"cats/x.jpg"}),
    "web page": ({"cats/x.jpg": b"<html>404</html>"}, "unreadable", {"cats/x.jpg"}),
    "PNG called .jpg": ({"cats/x.jpg": png_of_scene(705)}, "wrong_extension", {"cats/x.jpg"}),
    "JPEG called .txt": ({"cats/x.txt": encode(scene(706))}, "wrong_extension", {"cats/x.txt"}),
    "exact duplicate": (
        {"cats/a.jpg": encode(scene(707)), "cats/b.jpg": encode(scene(707))},
        "exact_duplicates", {"cats/a.jpg", "cats/b.jpg"},
    ),
    "near duplicate": (
        {"cats/a.jpg": encode(scene(708)), "cats/b.jpg": encode(scene(708), quality=40)},
        "near_duplicates", {"cats/a.jpg", "cats/b.jpg"},
    ),
    "one picture, two labels": (
        {"cats/a.jpg": encode(scene(709)), "dogs/b.jpg": encode(scene(709))},
        "two_labels", {"cats/a.jpg", "dogs/b.jpg"},
    ),
    "nearly one picture, two labels": (
        {"cats/a.jpg": encode(scene(710)), "dogs/b.png": png_of_scene(710)},
        "two_labels", {"cats/a.jpg", "dogs/b.png"},
    ),
    "blank": ({"cats/x.jpg": flat(200)}, "blank", {"cats/x.jpg"}),
    "tiny": ({"cats/x.jpg": encode(scene(712, (31, 100)))}, "tiny", {"cats/x.jpg"}),
    "huge": (
        {"cats/x.jpg": encode(cv2.resize(scene(713), (8000, 6000)), quality=50)},
        "huge", {"cats/x.jpg"},
    ),
    "long": ({"cats/x.jpg": encode(scene(714, (60, 300)))}, "extreme_aspect", {"cats/x.jpg"}),
    "grey": (
        {"cats/x.png": encode(np.repeat(scene(715)[:, :, :1], 3, axis=2), ".png")},
        "grey_among_colour", {"cats/x.png"},
    ),
    "EXIF": ({"cats/x.jpg": turned(encode(scene(716)), 8)}, "turned", {"cats/x.jpg"}),
    ".DS_Store": ({"cats/.DS_Store": b"x"}, "hidden_files", {"cats/.DS_Store"}),
    "Thumbs.db": ({"cats/Thumbs.db": b"x"}, "hidden_files", {"cats/Thumbs.db"}),
    "hidden folder": ({".git/HEAD": b"x"}, "hidden_files", {".git/"}),
    "loose picture": ({"x.jpg": encode(scene(720))}, "unused_files", {"x.jpg"}),
    "notes": ({"cats/notes.txt": b"seen in May"}, "unused_files", {"cats/notes.txt"}),
    "small class": ({"owls/x.jpg": encode(scene(722))}, "too_few", {"owls/x.jpg"}),
    "few pictures": (
        {f"owls/{one}.jpg": encode(scene(5000 + one)) for one in range(5)},
        "few_pictures", {"owls/0.jpg"},
    ),
    "case of a label": (
        {f"Cats /{one}.jpg": encode(scene(5000 + one)) for one in range(20)},
        "similar_labels", {"Cats /0.jpg", "cats/00.jpg"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_names_its_files(name: str, tmp_path: Path) -> None:
    files, kind, named = FAULTS[name]
    root = write_files(tmp_path / "pets", sound_files(25) | files)

    report = check(root)

    (found,) = of_kind(report, kind)
    assert set(found.keys) == named
    assert found.severity == KINDS[kind][0]
    assert any(key in found.message for key in found.keys)
    others = {one.kind for one in report.findings} - {kind}
    assert others <= {  # what a fault brings with it
        "two_labels": {"exact_duplicates", "near_duplicates"},
        "too_few": {"imbalance"},
    }.get(kind, set())


def test_a_sound_folder_has_no_finding(tmp_path: Path) -> None:
    report = check(write_files(tmp_path / "pets", sound_files(25)))

    assert report.findings == ()
    assert report.to_dict()["classes"] == {"cats": 25, "dogs": 25}


@pytest.mark.parametrize("copy", [encode(scene(1)), encode(scene(1), quality=50)])
def test_a_picture_on_two_given_sides_leaks(copy: bytes, tmp_path: Path) -> None:
    files = sound_files(20, "train/") | sound_files(20, "test/", first=5000)
    files |= {"train/cats/a.jpg": encode(scene(1)), "test/cats/b.jpg": copy}
    root = write_files(tmp_path / "pets", files)

    report = check(root)

    (leak,) = of_kind(report, "leakage")
    assert set(leak.keys) >= {"train/cats/a.jpg", "test/cats/b.jpg"}
    assert leak.severity == "error"


def test_a_group_of_a_table_on_two_sides_leaks(tmp_path: Path) -> None:
    keys = sound_files(5)
    write_files(tmp_path, keys)
    rows = [
        f"{key},{key[:4]},{'train' if place % 2 else 'test'},patient {place // 2}"
        for place, key in enumerate(keys)
    ]
    table = tmp_path / "pets.csv"
    table.write_text("\n".join(["path,label,split,group", *rows]))

    report = check(table)

    assert len(of_kind(report, "leakage")) == 5
    assert "patient 0" in of_kind(report, "leakage")[0].message


def test_split_column_leaks_too(tmp_path: Path) -> None:
    files = sound_files(6)
    files["cats/copy.jpg"] = files["cats/00.jpg"]
    write_files(tmp_path, files)
    rows = [f"{key},{key[:4]},{'val' if key == 'cats/copy.jpg' else 'train'}" for key in files]
    (tmp_path / "pets.csv").write_text("\n".join(["path,label,split", *rows]))

    (leak,) = of_kind(check(tmp_path / "pets.csv"), "leakage")

    assert leak.keys == ("cats/00.jpg", "cats/copy.jpg")
    assert "the same picture is on train: cats/00.jpg; val: cats/copy.jpg" in leak.message


def test_near_duplicates_that_the_table_keeps_together_are_no_fault(tmp_path: Path) -> None:
    files = sound_files(6)
    files["cats/copy.jpg"] = encode(scene(0), quality=40)
    write_files(tmp_path, files)
    for group in ("", "burst"):
        rows = [
            f"{key},{key[:4]},{group if key in ('cats/00.jpg', 'cats/copy.jpg') else ''}"
            for key in files
        ]
        (tmp_path / "pets.csv").write_text("\n".join(["path,label,group", *rows]))

        assert len(of_kind(check(tmp_path / "pets.csv"), "near_duplicates")) == (not group)


def test_a_file_that_is_not_the_one_of_the_table_is_named(tmp_path: Path) -> None:
    files = sound_files(4)
    write_files(tmp_path, files)
    rows = [f"{key},{key[:4]},{hashlib.sha256(data).hexdigest()}" for key, data in files.items()]
    (tmp_path / "pets.csv").write_text("\n".join(["path,label,sha256", *rows]))
    (tmp_path / "cats" / "02.jpg").write_bytes(encode(scene(77)))

    (found,) = of_kind(check(tmp_path / "pets.csv"), "altered")

    assert found.keys == ("cats/02.jpg",)


def test_class_that_a_given_side_lacks_is_named(tmp_path: Path) -> None:
    files = sound_files(25, "train/") | sound_files(25, "valid/", first=5000)
    files = {name: data for name, data in files.items() if not name.startswith("valid/dogs")}

    report = check(write_files(tmp_path / "pets", files))

    (found,) = of_kind(report, "missing_on_side")
    assert found.message.startswith("class 'dogs' (such as train/dogs/")
    assert "no picture on the given val side" in found.message
    assert {one.kind for one in report.findings} == {"missing_on_side"}


def test_class_index_is_a_used_file(tmp_path: Path) -> None:
    files = {f"n{int(name == 'dogs'):08d}/{rest}": data for path, data in sound_files(25).items()
             for name, rest in [path.split("/")]}  # fmt: skip
    files["imagenet_class_index.json"] = b'{"0": ["n00000000", "cat"], "1": ["n00000001", "dog"]}'

    report = check(write_files(tmp_path / "pets", files))

    assert report.findings == ()
    assert report.dataset.class_names == ("cat", "dog")


def test_small_class_of_groups_counts_groups(tmp_path: Path) -> None:
    write_files(tmp_path, sound_files(24))
    names = sorted(path.name for path in (tmp_path / "cats").iterdir())
    rows = [f"{kind}/{name},{kind},{kind}{n // 4}" for kind in ("cats", "dogs")
            for n, name in enumerate(names)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["path,label,group", *rows]))

    messages = [one.message for one in of_kind(check(tmp_path / "t.csv"), "few_pictures")]

    assert messages[0].startswith("class 'cats' has 6 groups only")


def test_one_class_and_an_empty_one(tmp_path: Path) -> None:
    files = {key: data for key, data in sound_files(20).items() if key.startswith("cats")}
    root = write_files(tmp_path / "pets", files)
    (root / "dogs").mkdir()

    report = check(root)

    assert len(of_kind(report, "one_class")) == 1
    assert of_kind(report, "empty_class")[0].keys == ("dogs/",)


def test_imbalance_names_both_classes(tmp_path: Path) -> None:
    files = {f"{key}": data for key, data in sound_files(25).items() if key.startswith("cats")}
    files |= {f"dogs/{one}.jpg": encode(scene(3000 + one, (40, 40))) for one in range(251)}

    (found,) = of_kind(check(write_files(tmp_path / "pets", files)), "imbalance")

    assert "'dogs' has 251 pictures and 'cats' 25" in found.message


def test_what_all_pictures_have_is_one_finding(tmp_path: Path) -> None:
    files = {
        f"{label}/{one:02d}.png": encode(scene(100 * place + one, (28, 28)), ".png")
        for place, label in enumerate(("even", "odd"))
        for one in range(20)
    }

    (found,) = of_kind(check(write_files(tmp_path / "digits", files)), "tiny")

    assert found.message.startswith("40 of 40 pictures: even/00.png is 28 x 28")
    assert len(found.keys) == NAMED_AT_MOST


def test_the_report_does_not_depend_on_threads(tmp_path: Path) -> None:
    files = sound_files(10)
    for added, _, _ in FAULTS.values():
        files |= {f"{Path(key).parent}/{len(files)}{Path(key).name}": data
                  for key, data in added.items()}  # fmt: skip
    root = write_files(tmp_path / "pets", files)

    reports = [json.dumps(check(root, threads=threads).to_dict()) for threads in (1, 2, 7)]

    assert len(set(reports)) == 1
    assert len(json.loads(reports[0])["findings"]) > 15


def test_rows_that_are_passed_over_are_named(tmp_path: Path) -> None:
    write_files(tmp_path, files := sound_files(4))
    rows = [f"{key},{key[:4]}" for key in files]
    (tmp_path / "pets.csv").write_text("\n".join(["path,label", *rows, "cats/00.jpg,"]))

    (found,) = of_kind(check(tmp_path / "pets.csv"), "skipped_rows")

    assert "row 9" in found.message


def test_the_quick_part_needs_no_picture(tmp_path: Path) -> None:
    files = sound_files(20) | {"cats/.DS_Store": b"x", "dogs/copy.jpg": encode(scene(0))}
    root = write_files(tmp_path / "pets", files)
    dataset = open_dataset(str(root))
    identities = column([hashlib.sha256(one.read()).hexdigest() for one in dataset])
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")

    found = quick_findings(dataset, identities, folder=root)

    assert [one.kind for one in found] == ["two_labels", "exact_duplicates", "hidden_files"]


@given(st.text(max_size=20))
def test_plain_labels_are_plain_already(name: str) -> None:
    assert plain_label(plain_label(name)) == plain_label(name)


@given(st.text(max_size=20))
def test_printable_text_is_printable(text: str) -> None:
    assert printable(text).isprintable()


# --- the page


def test_page_is_self_contained_and_escapes_names(tmp_path: Path) -> None:
    files = sound_files(20)
    files |= {f"<script>alert(1)<|script>/{one}\".jpg": encode(scene(9000 + one))
              for one in range(2)}  # fmt: skip
    files["<script>alert(1)<|script>/broken&.jpg"] = b""
    report = check(write_files(tmp_path / "<b>pets", files))

    page = check_page(report, 10**8)

    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "broken&amp;.jpg" in page
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    bare = re.sub(r'src="[^"]*"', "", page)
    assert not re.search(r"https?:|url\(|@import|<link|srcset", bare)
    assert page.count("data:image/jpeg;base64,") >= 1
    assert "default-src 'none'" in page


def test_page_of_a_sound_folder_says_so(tmp_path: Path) -> None:
    page = check_page(check(write_files(tmp_path / "pets", sound_files(20))), 10**8)

    assert "Nothing was found" in page


def test_page_stays_small(tmp_path: Path) -> None:
    files = {f"cats/{one}.jpg": encode(scene(1, (200, 300))) for one in range(900)}
    files |= {f"dogs/{one}.jpg": b"" for one in range(200)}

    page = check_page(check(write_files(tmp_path / "pets", files)), 10**8)

    assert len(page) < 300_000
    assert "and 140 more" in page


# --- the manifest


def hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def write_clean(root: Path, path: Path) -> Path | None:
    text, its_root = manifest(clean(check(root)), path.parent)
    path.write_text(text)
    return its_root


def rows_of(path: Path) -> list[Mapping[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


ALL_FAULTS: dict[str, bytes] = {}
for _number, (_files, _kind, _) in enumerate(FAULTS.values()):
    if _kind not in ("huge", "similar_labels", "too_few", "few_pictures"):
        ALL_FAULTS |= {
            f"{Path(_key).parent}/{_number}-{Path(_key).name}": _data
            for _key, _data in _files.items()
            if "/" in _key
        }
ALL_FAULTS |= FAULTS["case of a label"][0] | FAULTS["small class"][0]


@pytest.mark.parametrize("place", ["beside", "elsewhere"])
def test_a_cleaned_manifest_has_no_errors_and_changes_no_picture(
    place: str, tmp_path: Path
) -> None:
    root = write_files(tmp_path / "home" / "pets", sound_files(25) | ALL_FAULTS)
    before = hashes(root)
    path = (tmp_path / "home" if place == "beside" else tmp_path) / "cleaned.csv"
    if place == "elsewhere":
        path = tmp_path / "other" / "cleaned.csv"
        path.parent.mkdir()

    data_root = write_clean(root, path)

    assert hashes(root) == before
    assert (data_root is None) == (place == "beside")
    again = check_dataset(open_dataset(str(path), SourceOptions(root=data_root)), max_pixels=10**8)
    gone = {"exact_duplicates", "near_duplicates", "blank", "similar_labels"}
    assert again.count("error") == 0, again.findings
    assert not gone & {one.kind for one in again.findings}
    assert set(again.dataset.class_names) == {"cats", "dogs"}
    config = DataConfig(root=None if data_root is None else str(data_root))
    prepared = prepare_data(str(path), config, seed=0, cache=None)
    assert len(prepared.pictures.examples) == len(again.dataset)


def test_cleaning_leaves_out_what_only_a_person_can_tell(tmp_path: Path) -> None:
    files = sound_files(20) | {"cats/a.jpg": encode(scene(1)), "dogs/b.jpg": encode(scene(1))}
    root = write_files(tmp_path / "pets", files)

    cleaned = clean(check(root))

    # scene(1) is cats/01.jpg, too.
    assert [key for key, why in cleaned.left_out if why == "under two labels"] == [
        "cats/01.jpg", "cats/a.jpg", "dogs/b.jpg",
    ]  # fmt: skip


def test_a_leak_leaves_training_and_stays_in_the_test(tmp_path: Path) -> None:
    files = sound_files(20, "train/") | sound_files(20, "test/", first=5000)
    files |= {f"{side}/cats/x.jpg": encode(scene(700)) for side in ("train", "test")}
    files |= {f"train/dogs/{one}.jpg": encode(scene(701), quality=90 - one) for one in (0, 9)}
    files["test/dogs/y.jpg"] = encode(scene(701), quality=60)
    root = write_files(tmp_path / "pets", files)

    cleaned = clean(check(root))

    assert cleaned.left_out == (
        ("train/cats/x.jpg", "its like is in test"),
        ("train/dogs/0.jpg", "its like is in test"),
        ("train/dogs/9.jpg", "its like is in test"),
    )
    assert {row.side for row in cleaned.rows} == {"train", "test"}


def test_near_duplicates_stay_as_one_group(tmp_path: Path) -> None:
    files = sound_files(20) | {"cats/a.jpg": encode(scene(0), quality=50)}
    root = write_files(tmp_path / "pets", files)
    write_clean(root, tmp_path / "cleaned.csv")

    grouped = [row for row in rows_of(tmp_path / "cleaned.csv") if row["group"]]

    assert {row["path"] for row in grouped} == {"pets/cats/00.jpg", "pets/cats/a.jpg"}
    assert {row["group"] for row in grouped} == {min(row["sha256"] for row in grouped)}


def test_groups_of_a_table_keep_their_names(tmp_path: Path) -> None:
    files = sound_files(20) | {"cats/copy.jpg": encode(scene(0), quality=50)}
    write_files(tmp_path, files)
    rows = [f"{key},{key[:4]},{'p1' if key == 'cats/00.jpg' else ''}" for key in files]
    (tmp_path / "pets.csv").write_text("\n".join(["path,label,group", *rows]))

    cleaned = clean(check(tmp_path / "pets.csv"))

    assert {row.key: row.group for row in cleaned.rows if row.group} == {
        "cats/00.jpg": "p1",
        "cats/copy.jpg": "p1",
    }


def test_several_labels_survive(tmp_path: Path) -> None:
    write_files(tmp_path, files := sound_files(20))
    rows = [f"{key},{'cats|outside' if place % 2 else 'dogs'}" for place, key in enumerate(files)]
    (tmp_path / "pets.csv").write_text("\n".join(["path,labels", *rows]))

    write_clean(tmp_path / "pets.csv", tmp_path / "cleaned.csv")

    assert open_dataset(str(tmp_path / "cleaned.csv")).class_counts() == {
        "cats": 20, "dogs": 20, "outside": 20,
    }  # fmt: skip


def test_names_with_commas_quotes_and_line_breaks_survive(tmp_path: Path) -> None:
    files = sound_files(20) | {'cats/a, "b"\nc.jpg': encode(scene(8000))}
    root = write_files(tmp_path / "pets", files)
    write_clean(root, tmp_path / "cleaned.csv")

    assert 'pets/cats/a, "b"\nc.jpg' in open_dataset(str(tmp_path / "cleaned.csv")).keys.tolist()


def test_pictures_that_are_no_files_cannot_be_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", images=rng.integers(0, 255, (60, 40, 40, 3), np.uint8),
             labels=np.arange(60) % 2)  # fmt: skip

    with pytest.raises(ConfigError, match="unpack them into folders"):
        clean(check(tmp_path / "a.npz"))


def test_nothing_is_left_of_a_folder_of_faults(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder({"cats": 2, "dogs": 2})

    with pytest.raises(DatasetError, match="0 classes with enough pictures"):
        clean(check(root))
