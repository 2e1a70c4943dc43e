"""Tables as LaTeX: a `table` float with booktabs. Needs `\\usepackage{booktabs}`, and pdflatex or a newer engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from bench.report.table import Table, TableCell, TableRow, by_section, labels_under, line_of

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "α": r"$\alpha$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "—": "---",
    "–": "--",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\n": " ",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))
_LIGATURE = re.compile(r"[-–—](?=[-–—])|'(?=')|,(?=,)")
"""What TeX would draw as one sign with the character after it: `--` as an en dash."""
SENTENCE = 45
"""Characters of a text that is broken into lines."""
TALL = 50
"""Rows beyond which a table does not fit a page of `document`."""
WIDE = 8
"""Columns of a table that only fits a page (`table*`, landscape) in a smaller size."""


def to_latex(table: Table, caption: str | None = None, label: str | None = None) -> str:
    """A float that compiles with booktabs. caption, label: instead of the table's own.

    Lines under the numbers of a row (published values, differences) are rows of their own.
    """
    letters = table.footnotes
    width = len(table.columns)
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escape(caption if caption is not None else _sentences(table.title, table.caption))}}}",
        rf"\label{{{re.sub(r'[^A-Za-z0-9:.-]+', '-', label or f'tab:{table.name}')}}}",
        *([r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"] if width > WIDE else [r"\small"]),
        rf"\begin{{tabular}}{{{_alignment(table)}}}",
        r"\toprule",
        *_header(table),
        r"\midrule",
    ]
    for index, (section, rows) in enumerate(by_section(table.rows)):
        if section:
            lines += [r"\midrule"] * (index > 0)
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape(section)}}}}} \\")
        for row in rows:
            lines += _row(row, letters)
    lines += [r"\bottomrule", r"\end{tabular}", *_notes(table, letters), r"\end{table}"]
    return "\n".join(lines) + "\n"


def document(tables: Sequence[str]) -> str:
    """A document of tables that compiles as it is, to look at them; each is made for a page of a paper by itself."""
    head = [
        r"\documentclass{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage{booktabs}",
        r"\usepackage[paperwidth=42cm,paperheight=59.4cm,margin=1.5cm]{geometry}  % A2: no table is cut",
        r"\begin{document}",
    ]
    return "\n".join([*head, *(f"{table}\\clearpage" for table in tables), r"\end{document}"]) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX shows it; what pdflatex has no glyph for is given by its code, so that it compiles."""
    apart = _LIGATURE.sub("\\g<0>\0", text.replace("\0", "\ufffd"))
    escaped = _PATTERN.sub(lambda match: _SPECIAL[match[0]], apart).replace("\0", "{}")
    return re.sub(
        r"[^\x20-\x7e\u00c0-\u017e]|[\u0126\u0127\u0138\u013f\u0140\u0149\u0166\u0167]",
        lambda match: f"[U+{ord(match[0]):04X}]",
        escaped,
    )


def _sentences(*parts: str) -> str:
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)


def _alignment(table: Table) -> str:
    """Numbers to the right, texts to the left; sentences in columns that share a part of the line, broken in it."""
    longest = [max((len(row.cells[i].text) for row in table.rows), default=0) for i in range(len(table.columns))]
    sentences = [length > SENTENCE and not c.numeric for c, length in zip(table.columns, longest, strict=True)]
    broken = rf"p{{{0.6 / max(sum(sentences), 1):.2f}\linewidth}}"
    return "".join(
        broken if is_sentence else "r" if column.numeric else "l"
        for column, is_sentence in zip(table.columns, sentences, strict=True)
    )


def _header(table: Table) -> list[str]:
    lines = []
    if any(column.group for column in table.columns):
        cells, rules = [], []
        ends = accumulate(count for _, count in table.groups)
        for (group, count), end in zip(table.groups, ends, strict=True):
            cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escape(group)}}}" if group else " & ".join([""] * count))
            if group:
                rules.append(rf"\cmidrule(lr){{{end - count + 1}-{end}}}")
        lines = [" & ".join(cells) + r" \\", " ".join(rules)]
    return [*lines, " & ".join(escape(column.title) for column in table.columns) + r" \\"]


def _row(row: TableRow, letters: dict[str, str]) -> list[str]:
    lines = [" & ".join(_cell(cell, letters) for cell in row.cells) + r" \\"]
    for label in labels_under(row):
        name, *others = row.cells
        first = rf"\quad {escape(label)}" + (f" {escape(line_of(name, label))}" if line_of(name, label) else "")
        under = [rf"{{\scriptsize {escape(line_of(cell, label))}}}" for cell in others]
        lines.append(" & ".join([rf"{{\scriptsize {first}}}", *under]) + r" \\")
    return lines


def _cell(cell: TableCell, letters: dict[str, str]) -> str:
    text = escape(cell.text)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    above = [escape(mark) for mark in cell.marks] + [",".join(letters[note] for note in cell.notes)]
    above = [part for part in above if part]
    # A bracket at the start of a row would be read as an option of the \\ before it.
    return (
        ("{}" if text.startswith(("[", "*")) else "")
        + text
        + (r"\textsuperscript{" + r"\,".join(above) + "}" if above else "")
    )


def _notes(table: Table, letters: dict[str, str]) -> list[str]:
    notes = [rf"\textsuperscript{{{letter}}}~{escape(note)}" for note, letter in letters.items()]
    notes += [escape(note) for note in (*table.notes, *table.legend)]
    if not notes:
        return []
    return [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize", *_joined(notes), r"\end{minipage}"]


def _joined(notes: Sequence[str]) -> list[str]:
    return [f"{note}\\par" for note in notes]
