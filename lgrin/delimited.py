"""Tables in text files: CSV and its relatives, read whole or refused with the line that is wrong."""

import codecs
import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

DELIMITERS = (",", "\t")
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8, or in UTF-16 with a byte order mark, as spreadsheets write it.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        ValueError: If it is in another encoding, with the line of the first byte that is wrong.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.csv"
        >>> _ = path.write_bytes("path,label\\na.wav,fröhlich\\n".encode("latin-1"))
        >>> read_text(path)
        Traceback (most recent call last):
        ...
        ValueError: ...labels.csv, line 2: byte 0xf6 is no UTF-8; save the table as UTF-8
    """
    content = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte {content[error.start]:#04x} is no {encoding.upper()[:6].rstrip('-')}; save the "
            f"table as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}, line {line}: it holds a zero byte, so it is no text in UTF-8; save it as UTF-8")
    return text


def choose_delimiter(header: str, delimiters: tuple[str, ...] = DELIMITERS) -> str:
    """Chooses the delimiter that a header has most often, the first of them where it has none.

    Example:
        >>> choose_delimiter("path\\tlabel, said by others\\tgroup")
        '\\t'
    """
    return max(delimiters, key=lambda one: (header.count(one), -delimiters.index(one)))


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads the rows of a table in a text file, delimited by commas or tabs.

    Args:
        path: The file; its first line names the columns.

    Yields:
        First 1 and the names of the columns, each by its own name; then the line of each row that is not blank, and its
        cells by the name of the column, without spaces around them. A row may leave out its last cells.

    Raises:
        ValueError: If the encoding is unknown, a column occurs twice, a row has more cells than there are columns, or a
            quote is left open, with the line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.csv"
        >>> _ = path.write_text('path,label\\n"a, b.wav",calm\\n')
        >>> list(read_rows(path))[1]
        (2, {'path': 'a, b.wav', 'label': 'calm'})
    """
    text = read_text(path)
    delimiter = choose_delimiter(text.partition("\n")[0])
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    columns: list[str] = []
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            stripped = [cell.strip() for cell in cells]
            if not columns:
                columns = _columns(path, stripped)
                yield 1, dict(zip(columns, columns, strict=True))
            elif any(stripped):
                yield line, _row(path, line, columns, stripped)
    except csv.Error as error:
        raise ValueError(f"{path}, line {start}: a quote is left open or stands inside a cell ({error})") from error


def _columns(path: Path, names: list[str]) -> list[str]:
    again = [name for index, name in enumerate(names) if name in names[:index]]
    if again:
        raise ValueError(f"{path} has two columns {again[0]!r}; give each a name of its own")
    return names


def _row(path: Path, line: int, columns: list[str], cells: list[str]) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise ValueError(
            f"{path}, line {line}: it has {len(cells)} cells, and there are {len(columns)} columns; put a cell that "
            f"holds a delimiter into double quotes"
        )
    if any("\n" in cell for cell in cells):
        raise ValueError(f"{path}, line {line}: a cell goes over several lines; a quote may be left open")
    padded = cells + [""] * (len(columns) - len(cells))
    return dict(zip(columns, padded, strict=False))
