"""What is written is read again, in every form; and AWS's own examples read as AWS means them."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.manifest.formats import Column, KeyEncoding, ManifestFormat, ReadOptions, TaskStatusFilter, parse_columns
from s3batch.manifest.normalise import normalise
from s3batch.manifest.reader import ManifestReader
from s3batch.manifest.writers import TextWriter, text_form
from s3batch.model.errors import RefusedError, S3BatchError, UsageError
from tests.keys import HOSTILE_KEYS, SIDE_BY_SIDE, keys
from tests.unit.manifest.rows import Row, batches, rows_of

TEXT_FORMS = [ManifestFormat.CSV, ManifestFormat.JSON, ManifestFormat.JSONL]
TIMES = st.integers(0, 4_000_000_000_000)
FACTS = st.builds(
    Row,
    bucket=st.sampled_from(["bucket", "other.bucket-2"]),
    key=keys(),
    size=st.none() | st.integers(0, 50 * 1024**4),
    etag=st.none() | st.sampled_from(["9e107d9d372bb6826bd81d3542a419d6", "9e107d9d372bb6826bd81d3542a419d6-12"]),
    last_modified=st.none() | st.sampled_from(["2026-11-22T21:00:00.000Z", "1999-12-31T23:59:59.999Z"]),
    storage_class=st.none() | st.sampled_from(["STANDARD", "GLACIER_IR"]),
)


def read(path: Path, options: ReadOptions | None = None) -> tuple[list[Row], ManifestReader]:
    """Return a manifest's rows, and the reader with its findings."""
    reader = ManifestReader(path, options=options)
    return [row for batch in reader.batches() for row in rows_of(batch)], reader


def write(
    path: Path, rows: list[Row], form: ManifestFormat, *, all_columns: bool = True, is_gzip: bool = False
) -> None:
    """Write rows in batches of three."""
    with TextWriter(path, text_form(form, all_columns=all_columns), is_gzip=is_gzip) as writer:
        for batch in batches(rows, 3):
            writer.write(batch)


def read_text(folder: Path, text: str | bytes, options: ReadOptions | None = None, name: str = "m.csv") -> list[str]:
    """Return the keys of a manifest with this content."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [row.key for row in read(path, options)[0]]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(FACTS, max_size=8),
    versions=st.none() | st.sampled_from(["null", 'odd,"one"', "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd"]),
    form=st.sampled_from(TEXT_FORMS),
    is_gzip=st.booleans(),
)
def test_what_is_written_as_text_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    versions: str | None,
    form: ManifestFormat,
    is_gzip: bool,  # noqa: FBT001 - hypothesis gives it by name
) -> None:
    """Any keys and facts come back from CSV with all columns, JSON Lines and a JSON array, plain or compressed."""
    rows = [row.replace(version_id=versions) for row in rows]
    path = tmp_path_factory.mktemp("manifest") / f"m.{form}{'.gz' if is_gzip else ''}"
    write(path, rows, form, is_gzip=is_gzip)
    found, reader = read(path)
    assert found == rows
    assert reader.findings.is_gzip is is_gzip
    assert reader.findings.mismatched_name is None


@settings(max_examples=60, deadline=None)
@given(names=st.lists(keys(), max_size=8), version=st.none() | st.just("v1"))
def test_any_key_survives_awss_own_csv(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], version: str | None
) -> None:
    """Two or three columns carry every key, and no plus sign is ever written."""
    rows = [Row(bucket="bucket", key=key, version_id=version) for key in names]
    path = tmp_path_factory.mktemp("manifest") / "m.csv"
    write(path, rows, ManifestFormat.CSV, all_columns=False)
    assert b"+" not in path.read_bytes()
    assert read(path)[0] == rows


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(FACTS, max_size=8, unique_by=lambda row: (row.bucket, row.key)))
def test_our_parquet_is_read_as_a_manifest(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    """A normalised manifest is a manifest, too."""
    path = tmp_path_factory.mktemp("manifest") / "m.parquet"
    normalise(batches(rows, 3), path)
    assert read(path)[0] == sorted(rows, key=lambda row: (row.bucket, row.key))


def test_csv_is_byte_for_byte_awss_form(tmp_path: Path) -> None:
    """Bucket,Key without header, %20 and %2B, LF; three columns where there are versions."""
    path = tmp_path / "m.csv"
    write(
        path, [Row(bucket="bucket", key=key) for key in ("a b", "a+b/c", "é,")], ManifestFormat.CSV, all_columns=False
    )
    assert path.read_bytes() == b"bucket,a%20b\nbucket,a%2Bb/c\nbucket,%C3%A9%2C\n"
    write(path, [Row(bucket="bucket", key="k", version_id="v")], ManifestFormat.CSV, all_columns=False)
    assert path.read_bytes() == b"bucket,k,v\n"
    full = Row(
        bucket="bucket", key="a b", size=3, etag="x", last_modified="2026-11-22T21:00:00Z", storage_class="GLACIER"
    )
    write(path, [full, Row(bucket="bucket", key="k")], ManifestFormat.CSV)
    assert path.read_bytes() == b"bucket,a%20b,,3,x,2026-11-22T21:00:00.000Z,GLACIER\nbucket,k,,,,,\n"


def test_json_is_byte_for_byte_as_documented(tmp_path: Path) -> None:
    """Absent values are left out, keys are as they are, and an array has one object a line."""
    rows = [Row(bucket="bucket", key="é b", size=3), Row(bucket="bucket", key="k", etag="x")]
    lines = '{"bucket":"bucket","key":"é b","size":3}\n{"bucket":"bucket","key":"k","etag":"x"}\n'
    write(tmp_path / "m.jsonl", rows, ManifestFormat.JSONL)
    assert (tmp_path / "m.jsonl").read_text() == lines
    write(tmp_path / "m.json", rows, ManifestFormat.JSON)
    assert json.loads((tmp_path / "m.json").read_text()) == [json.loads(line) for line in lines.splitlines()]
    write(tmp_path / "m.json", [], ManifestFormat.JSON)
    assert json.loads((tmp_path / "m.json").read_text()) == []


def test_awss_examples_read_as_documented(tmp_path: Path) -> None:
    """The examples of the User Guide, without and with version ids."""
    text = (
        "Examplebucket,objectkey1\nExamplebucket,photos/jpgs/objectkey4\nExamplebucket,object%20key%20with%20spaces\n"
    )
    assert read_text(tmp_path, text) == ["objectkey1", "photos/jpgs/objectkey4", "object key with spaces"]
    rows, _ = read(write_text(tmp_path, "Examplebucket,objectkey1,PZ9ibn9D5lP6p298B7S9_ceqx1n5EJ0p\n"))
    assert rows == [Row(bucket="Examplebucket", key="objectkey1", version_id="PZ9ibn9D5lP6p298B7S9_ceqx1n5EJ0p")]


def write_text(folder: Path, text: str) -> Path:
    """Write a CSV manifest."""
    path = folder / "m.csv"
    path.write_text(text, newline="")
    return path


def test_line_ends_empty_lines_and_a_byte_order_mark_are_harmless_and_told(tmp_path: Path) -> None:
    """CRLF, empty lines and a BOM are found in files from spreadsheets; what was skipped is reported."""
    rows, reader = read(write_text(tmp_path, "\ufeffbucket,a\r\n\r\nbucket,b\r\n\n"))
    assert [row.key for row in rows] == ["a", "b"]
    assert reader.findings.messages() == (
        "A byte order mark at the beginning was skipped.",
        "2 empty lines were skipped.",
    )


@pytest.mark.parametrize("header", ["Bucket,Key", "bucket,key", '"BUCKET","Key"'])
def test_a_header_row_is_recognised_and_told(tmp_path: Path, header: str) -> None:
    """Athena writes one, and AWS reads it as a bucket name; here it is skipped, unless the user says it is data."""
    path = write_text(tmp_path, f"{header}\nbucket,a%20b\n")
    rows, reader = read(path)
    assert [row.key for row in rows] == ["a b"]
    assert reader.findings.messages()[0].startswith("The first row was read as a header: ")
    if header == "bucket,key":
        assert [row.key for row in read(path, ReadOptions(has_header=False))[0]] == ["key", "a b"]


def test_a_header_names_columns_in_any_order(tmp_path: Path) -> None:
    """Columns are found by their names, and those that mean nothing here are named."""
    rows, reader = read(write_text(tmp_path, "size,key,owner,bucket,e_tag\n3,k,me,bucket,x\n"))
    assert rows == [Row(bucket="bucket", key="k", size=3, etag="x")]
    assert reader.findings.ignored == {"owner"}


def test_columns_can_be_named_as_awss_fields_do(tmp_path: Path) -> None:
    """Ignore skips a column, as in CreateJob's Fields."""
    options = ReadOptions(columns=parse_columns("Bucket,Key,Ignore,Ignore"))
    assert read_text(tmp_path, "bucket,k,anything,else\n", options) == ["k"]
    assert options.columns == (Column.BUCKET, Column.KEY, Column.IGNORE, Column.IGNORE)
    for text in ("Bucket,Kex", "Bucket,Ignore", "Bucket,Key,Key"):
        with pytest.raises(UsageError) as caught:
            parse_columns(text)
        assert caught.value.code == "InvalidColumns"


def test_unencoded_keys_are_recognised_and_told(tmp_path: Path) -> None:
    """A space in a key shows that no encoder was at work; then a percent sign is a percent sign."""
    rows, reader = read(write_text(tmp_path, "bucket,a+b\nbucket,a b\nbucket,100%\n"))
    assert [row.key for row in rows] == ["a+b", "a b", "100%"]
    assert "not URL-encoded" in reader.findings.messages()[0]


def test_a_mixture_of_encoded_and_unencoded_keys_is_refused_until_the_user_decides(tmp_path: Path) -> None:
    """Guessing would name another object; the rows are named, and either reading can be chosen."""
    text = "bucket,a%20b\nbucket,a b\n"
    with pytest.raises(RefusedError, match=r"Row 1 .* URL-encoded key, and row 2 one that is not") as caught:
        read_text(tmp_path, text)
    assert caught.value.code == "MixedKeyEncoding"
    assert read_text(tmp_path, text, ReadOptions(key_encoding=KeyEncoding.URL)) == ["a b", "a b"]
    assert read_text(tmp_path, text, ReadOptions(key_encoding=KeyEncoding.NONE)) == ["a%20b", "a b"]


def test_the_mixture_is_found_wherever_the_rows_stand(tmp_path: Path) -> None:
    """Tens of thousands of rows lie between the two, in either order."""
    filler = "bucket,plain\n" * 25_000
    for first, last in (("a%20b", "a b"), ("a b", "a%20b")):
        with pytest.raises(RefusedError, match=r"25,002|25,001"):
            read_text(tmp_path, f"bucket,{first}\n{filler}bucket,{last}\n")


def test_a_plus_is_a_plus_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    """AWS documents nothing; form encoders write a space so."""
    assert read_text(tmp_path, "bucket,a+b%2Bc\n") == ["a+b+c"]
    assert read_text(tmp_path, "bucket,a+b%2Bc\n", ReadOptions(plus_is_space=True)) == ["a b+c"]


def test_keys_side_by_side_stay_five_objects(tmp_path: Path) -> None:
    """No form decodes or encodes once too often."""
    rows = [Row(bucket="bucket", key=key) for key in SIDE_BY_SIDE]
    for form in TEXT_FORMS:
        write(tmp_path / f"m.{form}", rows, form, all_columns=False)
        assert {row.key for row in read(tmp_path / f"m.{form}")[0]} == set(SIDE_BY_SIDE)


def test_hostile_keys_survive_unencoded_csv_when_it_says_so(tmp_path: Path) -> None:
    """RFC 4180 quoting carries line breaks, commas and quotes in keys as they are."""
    lines = ['bucket,"' + key.replace('"', '""') + '"\n' for key in HOSTILE_KEYS]
    assert read_text(tmp_path, "".join(lines), ReadOptions(key_encoding=KeyEncoding.NONE)) == list(HOSTILE_KEYS)


def test_empty_version_cells_mean_no_versions_when_all_are_empty(tmp_path: Path) -> None:
    """`null` is an id, an empty cell is none, and both kinds in one manifest are refused as AWS does."""
    assert read(write_text(tmp_path, "bucket,a,\nbucket,b,\n"))[0] == [Row(bucket="bucket", key=key) for key in "ab"]
    assert read(write_text(tmp_path, "bucket,a,null\n"))[0][0].version_id == "null"
    with pytest.raises(RefusedError, match=r"Row 1 .* has a version id, and row 3 has none") as caught:
        read(write_text(tmp_path, "bucket,a,v\nbucket,b,v\nbucket,c,\n"))
    assert caught.value.code == "MixedVersionIds"
    with pytest.raises(RefusedError, match=r"Row 2 .* has a version id, and row 1 has none"):
        read_text(tmp_path, '{"bucket":"bucket","key":"a"}\n{"bucket":"bucket","key":"b","version_id":"v"}\n')


REPORT = (
    "bucket,a%20b,,succeeded,200,,Successful\r\n"
    'bucket,c,,failed,400,InvalidRequest,"The source, ""c"", is too large"\r\n'
    "bucket,d,,failed,403,AccessDenied,\r\n\r\n"
)


def test_a_completion_report_is_a_manifest(tmp_path: Path) -> None:
    """Its rows in AWS's real order are recognised; all, the failed or the succeeded ones become entries."""
    assert read_text(tmp_path, REPORT) == ["a b", "c", "d"]
    assert read_text(tmp_path, REPORT, ReadOptions(task_status=TaskStatusFilter.FAILED)) == ["c", "d"]
    assert read_text(tmp_path, REPORT, ReadOptions(task_status=TaskStatusFilter.SUCCEEDED)) == ["a b"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("bucket,a\nbucket,b,v\n", "WrongColumnCount", r"Row 2 .* 3 columns where the first row has 2: 'bucket,b,v'"),
        ("bucket\n", "UnknownColumns", r"Row 1 .* 1 columns, whose meaning is unknown"),
        ("bucket,a,b,c\n", "UnknownColumns", r"4 columns"),
        ("bucket,a\nbucket,\n", "EmptyKey", r"Row 2 .* the key is empty"),
        ("\n\ns3://bucket,a\n", "InvalidBucketName", r"Row 3 .* 's3://bucket' is not a bucket name"),
        ('bucket,a\nbucket,"b\n', "InvalidCsv", r"Row 2 .* not CSV"),
        ('bucket,"a"b\n', "InvalidCsv", r"Row 1 .* not CSV"),
        (b"bucket,a\nbucket,caf\xe9\n", "NotUtf8", r"0xE9 is not UTF-8"),
        ("bucket,a%FFb\n", "InvalidKey", r"Row 1 .* the escapes of the key 'a%FFb' are not UTF-8"),
        (b"\xff\xfeb\0u\0", "UnknownManifestFormat", r"UTF-16"),
        (b"ORC\x01", "UnknownManifestFormat", r"an ORC file"),
        ("<Error/>", "UnknownManifestFormat", r"XML"),
        ("bucket,a,,x,e,,\n", "InvalidSize", r"Row 1 .* the size 'x' is not a whole number"),
        ("bucket,a,,9999999999999999999,e,,\n", "InvalidSize", r"is not a whole number"),
        ("bucket,a,,1,e,now,\n", "InvalidTime", r"Row 1 .* last_modified is 'now'"),
        ('{"bucket":"bucket","key":"a"}\n{"bucket":"b', "InvalidJson", r"Row 2 .* not a complete JSON object"),
        ('{"bucket":"bucket","key":"a"}{"bucket":"bucket","key":"b"}\n', "InvalidJson", r"Row 1"),
        ('{"bucket":"bucket","key":"a"},{"bucket":"bucket","key":"b"}\n', "InvalidJson", r"Row 1"),
        ('{"bucket":"bucket"}\n', "InvalidMember", r"Row 1 .* no key"),
        ('{"bucket":"bucket","key":7}\n', "InvalidMember", r"Row 1 .* key is 7"),
        ('{"bucket":"bucket","key":"a","etag":7}\n', "InvalidMember", r"etag is 7, which is not text"),
        ('{"bucket":"bucket","key":"a","size":"7"}\n', "InvalidSize", r"size is '7'"),
        ('{"bucket":"bucket","key":"a","size":true}\n', "InvalidSize", r"size is True"),
        ('{"bucket":"bucket","key":"a","size":-1}\n', "InvalidSize", r"size is -1"),
        ('{"bucket":"bucket","key":"a\\ud800"}\n', "InvalidKey", r"half of a surrogate pair"),
        ('[{"bucket":"bucket","key":"a"}', "TruncatedManifest", r"ends after 1 complete entries"),
        ('[{"bucket":"bucket","key":"a"},', "TruncatedManifest", r"ends after 1 complete entries"),
        ('[{"bucket":"bucket","key":"a"},{"bucket":"buc', "TruncatedManifest", r"ends after 1 complete entries"),
        ('[{"bucket":"bucket","key":"a"},{"bucket":"bucket","key":', "TruncatedManifest", r"ends after 1 complete"),
        ('[{"bucket":"bucket","key":"a","size":nul', "TruncatedManifest", r"ends after 0 complete entries"),
        ("[", "TruncatedManifest", r"ends after 0 complete entries"),
        ('[{"bucket":"bucket","key":"a"},]', "InvalidJson", r"Row 2 .* not JSON"),
        ('[{"bucket":"bucket","key":"a"} {}]', "InvalidJson", r"Row 1 .* where a comma"),
        ('[{"bucket":"bucket","key":"a"}]x', "InvalidJson", r"text follows the end of the array"),
        ("[1]", "InvalidJson", r"Row 1 .* 1 is not a JSON object"),
        ("[{'bucket':'b'}]", "InvalidJson", r"Row 1 .* not JSON"),
        (b'[{"bucket":"bucket","key":"\xff"}]', "NotUtf8", r"0xFF is not UTF-8"),
        (b'{"bucket":"bucket","key":"\xff"}', "NotUtf8", r"0xFF is not UTF-8"),
        ('{"bucket":"bucket","key":"' + "x" * 2_200_000 + '"}', "InvalidJson", r"more than 1,048,576 bytes"),
        ('[{"key":"' + "x" * 3_200_000 + '"}]', "InvalidJson", r"Row 1"),
        ('{"Format":"Report_CSV_20180820","Results":[]}', "NotAManifest", r"describes a completion report"),
        ('{"sourceBucket":"b","fileSchema":"Bucket, Key"}', "NotAManifest", r"describes an S3 Inventory"),
        (b"PAR1xxxx", "InvalidParquet", r"is not a readable Parquet file"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(tmp_path: Path, text: str | bytes, code: str, message: str) -> None:
    """Each error names the row, the value and the way out."""
    with pytest.raises(S3BatchError, match=message) as caught:
        read_text(tmp_path, text)
    assert caught.value.code == code
    assert caught.value.way_out
    assert isinstance(caught.value, RefusedError)


def test_cut_gzip_is_noticed(tmp_path: Path) -> None:
    """Half an upload must not look like half as many objects."""
    whole = gzip.compress(b"".join(b"bucket,key-%d\n" % number for number in range(50_000)))
    for content in (whole[: len(whole) // 2], whole[:-4], whole[:50] + b"\0\0\0\0" + whole[54:]):
        with pytest.raises(RefusedError, match="gzip data") as caught:
            read_text(tmp_path, content, name="m.csv.gz")
        assert caught.value.code == "TruncatedManifest"


def test_the_content_decides_the_format_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    """A JSON manifest called .csv is read as JSON; gzip is found without its suffix."""
    path = tmp_path / "m.csv"
    path.write_bytes(gzip.compress(b'[{"Bucket":"bucket","Key":"a+b","ETag":"\\"x\\"","Owner":1}]'))
    rows, reader = read(path)
    assert rows == [Row(bucket="bucket", key="a+b", etag="x")]
    assert reader.findings.messages() == (
        "The name 'm.csv' promises another format; its content is json.",
        "Columns that were not used: Owner.",
    )


def test_an_empty_manifest_is_read_as_no_entries(tmp_path: Path) -> None:
    """No bytes, only empty lines, an empty array; but a JSON file without its array is cut short."""
    assert read_text(tmp_path, "") == []
    assert read_text(tmp_path, "\n\n") == []
    assert read_text(tmp_path, " [ ] \n") == []
    with pytest.raises(RefusedError, match="cut short"):
        read_text(tmp_path, "", name="m.json")


def test_foreign_parquet_is_read_by_column_names(tmp_path: Path) -> None:
    """Names as S3 spells them, dictionary or plain text, times of other units; wrong types and names are refused."""
    path = tmp_path / "m.parquet"
    table = pa.table(
        {
            "Bucket": pa.array(["bucket", "bucket"]).dictionary_encode(),
            "Key": pa.array(["a", "b"], pa.large_string()),
            "VersionId": ["", ""],
            "Size": pa.array([1, None], pa.int32()),
            "ETag": ['"x"', None],
            "LastModified": pa.array([1_000_000_999, None], pa.timestamp("us", "Europe/Berlin")),
            "Owner": ["me", "you"],
        }
    )
    pq.write_table(table, path)
    rows, reader = read(path)
    assert rows == [
        Row(bucket="bucket", key="a", size=1, etag="x", last_modified="1970-01-01T00:16:40.000Z"),
        Row(bucket="bucket", key="b"),
    ]
    assert reader.findings.ignored == {"Owner"}
    for columns, code in (
        ({"bucket": ["bucket"], "name": ["a"]}, "UnknownColumns"),
        ({"bucket": ["bucket"], "key": ["a"], "size": ["big"]}, "InvalidColumnType"),
        ({"bucket": ["bucket"], "key": [None]}, "EmptyKey"),
    ):
        pq.write_table(pa.table(columns), path)
        with pytest.raises(RefusedError) as caught:
            read(path)
        assert caught.value.code == code
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(RefusedError, match="not a readable Parquet file"):
        read(path)


def test_a_writer_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """Entries with and without version ids cannot be AWS's CSV; nothing appears."""
    rows = [Row(bucket="bucket", key="a", version_id="v"), Row(bucket="bucket", key="b")]
    with pytest.raises(RefusedError) as caught:
        write(tmp_path / "m.csv", [*rows[:1] * 3, rows[1]], ManifestFormat.CSV, all_columns=False)
    assert caught.value.code == "MixedVersionIds"
    assert list(tmp_path.iterdir()) == []


@given(content=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_content_makes_a_reader_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Whatever the bytes are: entries, or a refusal."""
    path = tmp_path_factory.mktemp("manifest") / "m"
    for prefix in (
        b"",
        b"bucket,",
        b'[{"bucket":"bucket","key":"',
        b'{"bucket":"bucket","key":"',
        b"\x1f\x8b\x08",
        b"PAR1",
    ):
        path.write_bytes(prefix + content)
        try:
            read(path)
        except RefusedError:
            continue
