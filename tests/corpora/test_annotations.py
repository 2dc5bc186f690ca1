"""Tests of reading BAUM-1's lists of labels, valid and invalid."""

import csv

import openpyxl
import pytest

from mmer_jax import errors
from mmer_jax.corpora import annotations, baum1

ACTED, SPONTANEOUS = baum1.SUBSETS["acted"], baum1.SUBSETS["spontaneous"]
HEADINGS = ["Number", *annotations.COLUMNS]
# Codes and words of the acted set.
ROWS = [
    [1, "S001", 1, "S001_001", "Anger", 1, "Male"],
    [2, "S001", 2, "S001_002", "Disgust", 3, "Male"],
    [3, "S002", 1, "S002_001", "Fear", 4, "Female"],
    [4, "S002", 2, "S002_002", "Sadness", 7, "Female"],
]


def changed(row: int, column: str, value) -> list[list]:
    """Returns ROWS with one cell changed; `row` is the number in the sheet, headings are row 1."""
    rows = [list(r) for r in ROWS]
    rows[row - 2][HEADINGS.index(column)] = value
    return rows


def write(path, rows, headings=HEADINGS):
    table = [headings, *rows] if headings else rows
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table)
        return path
    workbook = openpyxl.Workbook()
    for row in table:
        workbook.active.append(row)
    workbook.save(path)
    return path


def read(tmp_path, rows, headings=HEADINGS, subset=ACTED, name="Annotations_BAUM1a.xlsx"):
    return annotations.read(write(tmp_path / name, rows, headings), subset)


def as_tuples(listed) -> dict[str, tuple[str, str, int]]:
    return {k: (v.emotion, v.gender, v.row) for k, v in listed.labels.items()}


EXPECTED = {
    "S001_001": ("anger", "male", 2),
    "S001_002": ("disgust", "male", 3),
    "S002_001": ("fear", "female", 4),
    "S002_002": ("sadness", "female", 5),
}


@pytest.mark.parametrize("ending", [".xlsx", ".csv"])
def test_valid_list(tmp_path, ending):
    listed = read(tmp_path, ROWS, name=f"Annotations_BAUM1a{ending}")
    assert as_tuples(listed) == EXPECTED and listed.mismatches == {}


def test_codes_match_the_published_lists(tmp_path):
    """Checks every code of both sets, with the set's own word."""
    published = (
        (ACTED, "Anger Boredom Disgust Fear Happiness Interest Sadness Surprise Unsure"),
        (
            SPONTANEOUS,
            "Anger Boredom Bothered Concentrating Contempt Disgust Fear Happiness Neutral Sadness "
            "Surprise Thinking Unsure",
        ),
    )
    for subset, words in published:
        rows = [
            [n, "S003", n, f"S003_{n:03d}", word, n, "Male"]
            for n, word in enumerate(words.split(), 1)
        ]
        listed = read(tmp_path, rows, subset=subset, name=f"Annotations_{subset.short}.xlsx")
        assert [v.emotion for v in listed.labels.values()] == words.lower().split()
        assert listed.mismatches == {}


def test_numbers_and_genders_may_be_typed_in_any_way(tmp_path):
    rows = [
        ["", "s001", "1", "s001_001.MP4", " ANGER", "1.0", "m"],
        ["", 1, 2.0, "S001_002", "disgust ", "3", "MALE"],
        [None, " S002 ", "001", " S002_001", "Fear", 4.0, "F"],
        [None, "2.0", "2", "S002_002", "sadness", 7, "female "],
    ]
    listed = read(tmp_path, rows)
    assert as_tuples(listed) == EXPECTED and listed.mismatches == {}


def test_headings_in_any_place_and_case_next_to_a_side_table(tmp_path):
    headings = [None, *(h.upper().replace(" ", "_") for h in HEADINGS), None]
    beside = [["Emotion Code", "Emotion", "Clip"], [1, "Anger", 17], [99, "Total", 40]]
    table = [["The labels", *[None] * 11], []]
    for i, row in enumerate([headings, *([None, *row, None] for row in ROWS)]):
        table.append(row + (beside[i] if i < len(beside) else []))
    table.insert(5, [None] * 9 + [5, "Boredom", 3])  # a row of the side table alone
    table.append([None, "Sum", None, None, None, None, 4])
    listed = read(tmp_path, table, headings=None)
    assert [v.row for v in listed.labels.values()] == [4, 5, 7, 8]
    assert {k: v[:2] for k, v in as_tuples(listed).items()} == {
        k: v[:2] for k, v in EXPECTED.items()
    }


def test_csv_with_other_encodings_and_separators(tmp_path):
    path = tmp_path / "Annotations_BAUM1a.csv"
    rows = [HEADINGS, *changed(2, "Emotion", "Öfke")]
    text = "\r\n".join(";".join(map(str, row)) for row in rows)
    path.write_bytes(text.encode("cp1254"))
    listed = annotations.read(path, ACTED)
    assert as_tuples(listed) == EXPECTED
    assert list(listed.mismatches) == [annotations.OTHER_WORD]
    path.write_bytes(b"\xef\xbb\xbf" + text.replace(";", "\t").encode())
    assert as_tuples(annotations.read(path, ACTED)) == EXPECTED


def test_other_sheets_of_the_workbook_are_not_read(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active.append(["Notes"])
    sheet = workbook.create_sheet("Labels")
    for row in [HEADINGS, *ROWS]:
        sheet.append(row)
    workbook.save(tmp_path / "a.xlsx")
    assert as_tuples(annotations.read(tmp_path / "a.xlsx", ACTED)) == EXPECTED


@pytest.mark.parametrize(
    ("rows", "kind", "clip", "detail"),
    [
        (changed(5, "Emotion", "Sadnes"), "word misspelt", "S002_002", "row 5 has Sadnes"),
        (changed(4, "Emotion", "Anger"), "word differs from code", "S002_001", "row 4 has Anger"),
        (changed(4, "Emotion", None), "word differs from code", "S002_001", "row 4"),
        (changed(3, "Clip Name", "S001_003"), "clip name differs", "S001_002", "S001_003"),
        (changed(3, "Clip Name", None), "clip name differs", "S001_002", "has the name (empty)"),
        ([*ROWS, ROWS[0]], "label repeated", "S001_001", "in rows 2 and 6"),
    ],
)
def test_mismatches_are_recorded_and_the_code_is_trusted(tmp_path, rows, kind, clip, detail):
    listed = read(tmp_path, rows)
    assert as_tuples(listed) == EXPECTED
    assert list(listed.mismatches) == [kind] and list(listed.mismatches[kind]) == [clip]
    assert detail in listed.mismatches[kind][clip]


@pytest.mark.parametrize("word", ["Intrest", "Contepmt", "Sadnes"])
def test_misspellings_of_the_original_are_recognized(tmp_path, word):
    subset, code, emotion = {
        "Intrest": (ACTED, 6, "interest"),
        "Contepmt": (SPONTANEOUS, 5, "contempt"),
        "Sadnes": (ACTED, 7, "sadness"),
    }[word]
    listed = read(tmp_path, [[1, "S001", 1, "S001_001", word, code, "Male"]], subset=subset)
    assert listed.labels["S001_001"].emotion == emotion
    assert list(listed.mismatches) == ["word misspelt"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            changed(3, "Emotion Code", 10),
            r"row 3, column Emotion Code: found '10', expected a code",
        ),
        (changed(3, "Emotion Code", 0), r"row 3, column Emotion Code: found '0'"),
        (changed(3, "Emotion Code", 2.5), r"row 3, column Emotion Code: found '2.5'"),
        (changed(3, "Emotion Code", None), r"row 3, column Emotion Code: found nothing"),
        (changed(5, "Subject Label", "S005"), r"row 5, column Subject Label: found 'S005'"),
        (changed(5, "Subject Label", None), r"row 5, column Subject Label: found nothing"),
        (changed(2, "Clip", "first"), r"row 2, column Clip: found 'first'"),
        (changed(2, "Gender", "unknown"), r"row 2, column Gender: found 'unknown', expected male"),
        (
            [*ROWS, changed(2, "Emotion Code", 4)[0]],
            r"S001_001 is anger in row 2 and fear in row 6",
        ),
        ([], "has no row below its headings in row 1"),
    ],
)
def test_bad_cells_name_file_row_and_column(tmp_path, rows, message):
    with pytest.raises(errors.UserError, match=message) as raised:
        read(tmp_path, rows)
    assert str(raised.value).startswith(str(tmp_path / "Annotations_BAUM1a.xlsx"))


def test_list_without_a_column(tmp_path):
    headings = [h.replace("Emotion Code", "Kod") for h in HEADINGS]
    with pytest.raises(errors.UserError) as raised:
        read(tmp_path, ROWS, headings)
    for text in ("has no column Emotion Code: its row 1 has Number", "Kod", "expected Subject La"):
        assert text in str(raised.value)
    with pytest.raises(errors.UserError, match="has no column Subject Label, Clip, Clip Name"):
        read(tmp_path, [[1, 2]], ["a", "b"])


def test_list_of_the_other_set_is_recognized_by_its_words(tmp_path):
    rows = [*ROWS, [5, "S002", 3, "S002_003", "Thinking", 12, "Female"]]
    rows[1] = [2, "S001", 2, "S001_002", "Bothered", 3, "Male"]
    rows[2] = [3, "S002", 1, "S002_001", "Concentrating", 4, "Female"]
    expected = (
        "list of labels of the spontaneous set, not of the acted one: 4 of 5 .*, 2 with those of "
        "the acted set; the first difference is in row 3, Bothered with code 3"
    )
    with pytest.raises(errors.UserError, match=expected):
        read(tmp_path, rows)
    with pytest.raises(errors.UserError, match="of the acted set, not of the spontaneous one"):
        read(tmp_path, ROWS, subset=SPONTANEOUS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"no workbook", "cannot be read as a list of labels"),
        ("a.xlsx", b"", "cannot be read as a list of labels"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx or .csv"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"\n;;;\n", "a.csv is empty"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.UserError, match=message):
        annotations.read(tmp_path / name, ACTED)
    write(tmp_path / "empty.xlsx", [], headings=None)
    with pytest.raises(errors.UserError, match=r"empty\.xlsx is empty"):
        annotations.read(tmp_path / "empty.xlsx", ACTED)


def create_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_list_is_found_in_the_folder_or_its_parent(tmp_path):
    create_files(
        tmp_path,
        "x/BAUM1a_MP4_all/s001/S001_001.mp4",
        "x/Annotations_BAUM1s.xlsx",
        "x/ANNOTATIONS_baum1A.CSV",
        "x/~$Annotations_BAUM1a.xlsx",
        "x/._Annotations_BAUM1a.xlsx",
        "y/baum1s/annotations.xlsx",
        "y/baum1a/annotations.xlsx",
    )
    for folder in ("x", "x/BAUM1a_MP4_all"):
        path = annotations.find(tmp_path / folder, ACTED)
        assert path == tmp_path / "x" / "ANNOTATIONS_baum1A.CSV"
    path = annotations.find(tmp_path / "x", SPONTANEOUS)
    assert path == tmp_path / "x" / "Annotations_BAUM1s.xlsx"
    path = annotations.find(tmp_path / "y", ACTED)  # by the folder's name
    assert path == tmp_path / "y" / "baum1a" / "annotations.xlsx"


def test_no_list_several_lists_and_only_a_list_of_the_other_set(tmp_path):
    with pytest.raises(errors.UserError, match=r"Annotations_BAUM1a\.xlsx or \.csv .* found none"):
        annotations.find(create_files(tmp_path / "none", "s001/S001_001.mp4"), ACTED)
    names = ("Annotations_BAUM1a.xlsx", "Annotations_BAUM1a.csv")
    with pytest.raises(errors.UserError, match=r"found 2 lists .*\.csv and .*\.xlsx: keep one"):
        annotations.find(create_files(tmp_path / "two", *names), ACTED)
    other = create_files(tmp_path / "other", "Annotations_BAUM1s.xlsx")
    expected = "by its name, the list of labels of the spontaneous set. Found no list of the acted"
    with pytest.raises(errors.UserError, match=expected):
        annotations.find(other, ACTED)
