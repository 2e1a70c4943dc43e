"""One table in four forms: whatever stands in a cell, the form holds."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.render.csv import to_csv
from bench.report.render.html import Page, Section, anchor, apart, to_html
from bench.report.render.latex import document, escape, to_latex
from bench.report.render.markdown import escape as to_markdown_text
from bench.report.render.markdown import to_markdown
from bench.report.table import Column, Line, Table, TableCell, TableRow, plain_table

HOSTILE = "50% of a_b & {x} #1 $y$ ~^\\ <b>|\"'` [z]*"


def table_of(text: str = "ttmre", **changes: object) -> Table:
    cell = TableCell(
        "48.21 ± 0.62", 48.2134, bold=True, marks="‡", notes=("run twice",),
        under=(Line("published", "84.01 ± 0.21"), Line("difference", "−35.80 differs")),
        data={"std": 0.62, "published": 84.01},
    )  # fmt: skip
    rows = (
        TableRow((TableCell(text, text, notes=("of one seed",)), cell, TableCell("—")), "Human"),
        TableRow(
            (TableCell("atlop", "atlop"), TableCell("50.00", 50.0), TableCell("n/a", notes=("of one seed",))), "Distant"
        ),
    )
    columns = (Column("Model", numeric=False), Column("F1", "Test"), Column("Recall", "Test"))
    fields = {"name": "t", "title": "Results", "caption": text, "columns": columns, "rows": rows, "notes": ("all",)}
    return Table(**(fields | changes))  # type: ignore[arg-type]


class Cells(HTMLParser):
    """The texts of a page's cells, and every tag and attribute."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


def page_of(*tables: Table) -> str:
    return to_html(Page("Report", "Intro", [("Runs", "3")], [Section("results", "Results", tables=tables)]))


def test_a_row_needs_a_cell_for_each_column():
    with pytest.raises(ValueError, match="1 cells under 3 columns"):
        table_of(rows=(TableRow((TableCell("x"),)),))


def test_notes_get_letters_in_reading_order_each_once():
    assert table_of().footnotes == {"of one seed": "a", "run twice": "b"}
    many = table_of(
        rows=tuple(TableRow((TableCell("x", notes=(str(i),)), TableCell(""), TableCell(""))) for i in range(30))
    )
    assert list(many.footnotes.values())[-3:] == ["ab", "ac", "ad"]


def test_latex_has_booktabs_rules_a_cell_for_each_column_and_lines_below_as_rows():
    lines = to_latex(table_of(), caption="50% better", label="tab:a b").splitlines()
    assert lines[2:4] == [r"\caption{50\% better}", r"\label{tab:a-b}"]
    assert [line for line in lines if "rule" in line] == [
        r"\toprule", r"\cmidrule(lr){2-3}", r"\midrule", r"\midrule", r"\bottomrule",
    ]  # fmt: skip
    body = lines[lines.index(r"\toprule") : lines.index(r"\bottomrule")]
    rows = [line for line in body if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {2}
    assert rows[1] == (r"ttmre\textsuperscript{a} & \textbf{48.21 $\pm$ 0.62}\textsuperscript{$\ddagger$\,b} & --- \\")
    assert rows[2].startswith(r"{\scriptsize \quad published} & {\scriptsize 84.01 $\pm$ 0.21} &")


def test_latex_escapes_everything_that_means_something_to_it():
    assert escape(HOSTILE) == (
        r"50\% of a\_b \& \{x\} \#1 \$y\$ \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}b\textgreater{}"
        r"\textbar{}\textquotedbl{}'\textasciigrave{} [z]*"
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a--b", "a-{}-b"), ("---", "-{}-{}-"), ("it''s", "it'{}'s"), ("'''", "'{}'{}'"), ("a\0b", "a[U+FFFD]b"),
        (",,x", ",{},x"), ("3–5", "3--5"), ("a — b", "a --- b"), ("–-", "--{}-"), ("'x'", "'x'"), ("-1, 2", "-1, 2"),
        ("``x", r"\textasciigrave{}\textasciigrave{}x"), ("<<x", r"\textless{}\textless{}x"),
        ("!`?`", r"!\textasciigrave{}?\textasciigrave{}"),
    ],
)  # fmt: skip
def test_latex_shows_signs_one_by_one_that_tex_would_draw_as_another(text, escaped):
    assert escape(text) == escaped


@given(st.text())
def test_latex_is_ascii_and_latin_letters_with_no_special_character_unescaped(text):
    escaped = escape(text)
    assert re.fullmatch(r"[\x20-\x7eÀ-ž]*", escaped)
    without_commands = re.sub(r"\\[a-zA-Z]+(\{\})?|\$\\[a-z]+\$|\$-\$|\\[{}$&#%_]|(?<=[-',])\{\}", "", escaped)
    assert not set("\\{}$&#%_^") & set(without_commands)


def test_letters_that_latex_has_no_font_for_are_spelled():
    assert escape("Ħé") == "[U+0126]é"


def test_tables_whose_names_make_one_anchor_are_told_apart():
    first, second, other = table_of(name="t-enc_v1"), table_of(name="t-enc-v1"), table_of(name="t-enc2")
    anchors = [anchor(table.name) for table in apart([first, second, other])]
    assert anchors[0] == "t-enc-v1"
    assert len(set(anchors)) == 3


def test_a_latex_row_that_starts_with_a_bracket_is_no_option_of_the_row_before():
    assert "\n{}[z]" in to_latex(table_of("[z]"))


def test_latex_breaks_sentences_into_lines_and_nothing_else():
    rows = [("a", 1.0, "short", "a sentence that is too long for a line of a table"), ("b", 2.0, "x", "y")]
    lines = to_latex(plain_table("p", "P", "", ["name", "n", "kind", "what"], rows)).splitlines()
    assert r"\begin{tabular}{lrlp{0.60\linewidth}}" in lines


def test_the_latex_document_declares_what_its_tables_need():
    text = document([to_latex(table_of())])
    assert text.index(r"\usepackage{booktabs}") < text.index(r"\begin{document}") < text.index(r"\toprule")
    assert text.count(r"\begin{") == text.count(r"\end{")


def test_markdown_says_that_numbers_stand_right_and_texts_left():
    lines = [line for line in to_markdown(table_of()).splitlines() if line.startswith("|")]
    assert re.fullmatch(r"\|:-+\|-+:\|-+:\|", lines[1])


@pytest.mark.parametrize("text", [HOSTILE, "two\nlines", "<script>alert(1)</script>", "a|b|c"])
def test_a_markdown_row_stays_one_row_of_as_many_cells(text):
    lines = [line for line in to_markdown(table_of(text)).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2 + 2 + 2  # header, sections, rows, lines under the first
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert "<script" not in "".join(lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kd_docre", "kd_docre"), ("4 of 5*", "4 of 5*"), ("a*b*c", r"a\*b\*c"), ("_x_", r"\_x\_"),
        ("* note", r"\* note"), ("1. x", r"1\. x"), ("[a](b)", r"\[a](b)"), ("[a]", "[a]"), ("~~x~~", r"\~\~x\~\~"),
        ("a|b`c\\", r"a\|b\`c\\"), ("<b>&", "&lt;b&gt;&amp;"), ("two\n lines", "two<br>lines"),
    ],
)  # fmt: skip
def test_markdown_escapes_what_would_be_read_as_markdown_and_nothing_else(text, shown):
    assert to_markdown_text(text) == shown


def test_csv_has_numbers_unrounded_and_what_belongs_to_them_in_columns_of_their_own():
    first, second = csv.DictReader(io.StringIO(to_csv(table_of())))
    assert first == {
        "section": "Human", "Model": "ttmre", "Test F1": "48.2134", "Test F1 std": "0.62", "Test F1 published": "84.01",
        "Test Recall": "—", "notes": "of one seed | run twice",
    }  # fmt: skip
    assert (second["Test F1 std"], second["Test Recall"]) == ("", "n/a")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")))
def test_csv_gives_back_any_text(text):
    (row, _) = csv.DictReader(io.StringIO(to_csv(table_of(text)), newline=""))
    assert row["Model"] in (text, f"'{text}")


FORMULAS = ["=HYPERLINK(1)", "+x", "-lr", "@SUM(A1)", "-", "--", "-1+cmd|' /C calc'!A0", "-1e"]


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_has_no_formulas_in_cells_sections_headers_or_notes(text):
    cell = TableCell(text, notes=(text,), data={text: text})
    table = table_of(columns=(Column(text), Column("F1", "Test")), rows=(TableRow((cell, TableCell("x")), text),))
    header, line = csv.reader(io.StringIO(to_csv(table), newline=""))
    assert header == ["section", f"'{text}", f"'{text} {text}", "Test F1", "notes"]
    assert line == [f"'{text}"] * 3 + ["x", f"'{text}"]


@pytest.mark.parametrize("number", [-0.25, "-0.25", "+3", "-1e-05", "-.5"])
def test_csv_leaves_negative_numbers_numbers(number):
    cell = TableCell("−0.25", number) if isinstance(number, float) else TableCell(number)
    table = table_of(columns=(Column("F1"),), rows=(TableRow((cell,)),))
    _, (value, _) = csv.reader(io.StringIO(to_csv(table)))
    assert value == str(number)


def test_the_page_shows_every_text_as_it_is_and_nothing_of_it_as_markup():
    text = "<script>alert('x')</script> & <img src=x onerror=y>"
    page = Cells(page_of(table_of(text)))
    assert page.rows[3][0].startswith(text)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in page.tags]


def test_the_page_is_one_file_that_asks_for_nothing():
    page = page_of(table_of())
    targets = [
        value for _, attributes in Cells(page).tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert all(target and target.startswith(("#", "data:")) for target in targets)
    assert not re.search(r"https?://|url\(|@import", page)


def test_the_page_names_rows_columns_tables_and_parts_for_whoever_does_not_see_it():
    tags = Cells(page_of(table_of())).tags
    scopes = [attributes.get("scope") for tag, attributes in tags if tag == "th"]
    assert scopes.count("col") == 3
    assert scopes.count("rowgroup") == 2
    assert scopes.count("row") == 4  # two rows, two lines under the first
    assert [tag for tag, _ in tags].count("caption") == 1
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes.get("aria-labelledby") for _, attributes in tags} - {None}
    assert named <= set(ids)


def test_notes_in_the_page_are_where_their_letters_lead():
    page = Cells(page_of(table_of()))
    ids = {attributes.get("id") for _, attributes in page.tags}
    led_to = {a["href"][1:] for tag, a in page.tags if tag == "a" and str(a.get("href")).startswith("#")}
    assert {"t-a", "t-b"} <= led_to <= ids


def test_a_table_of_many_rows_can_be_filtered():
    few, many = (plain_table("p", "P", "", ["name", "n"], [(str(i), i) for i in range(n)]) for n in (15, 16))
    assert 'id="p-filter"' not in page_of(few)
    assert 'data-table="p"' in page_of(many)


def test_a_plain_table_tells_numbers_from_texts_and_from_what_is_missing():
    table = plain_table(
        "p", "P", "", ["name", "count", "share", "kind"], [("a", 1234, 0.5, "x"), ("b", None, 1.0, "y")]
    )
    assert [column.numeric for column in table.columns] == [False, True, True, False]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["a", "1,234", "0.50", "x"],
        ["b", "—", "1.00", "y"],
    ]
