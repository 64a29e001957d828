"""The report: self-contained, escaped, complete; the sidecar: plain JSON."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scanprior.report.page import cell, write_report, write_sidecar

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
FACTS = {
    "title": "scan <script>alert(1)</script>.h5",
    "input": {"kind": "ct", "data": [1, 23, 363], "matrix": [256, 256]},
    "table": [
        {"method": "FBP", "psnr": 21.304, "ssim": 0.43121, "residual": 0.031, "nfe": 0, "seconds": 0.1},
        {
            "method": "mean",
            "psnr": None,
            "ssim": 0.9,
            "residual": 0.02,
            "nfe": "8 x 50",
            "seconds": 4.0,
        },
    ],
    "pictures": ["report.png"],
    "settings": {"method": "dds", "steps": 50, "seed": 7, "samples": 8},
    "provenance": {"scanprior": "0.1.0", "seed": 7, "request": {"device": "cpu", "prior": None}},
    "prior": {
        "name": "ct-256",
        "licence": "CC BY 4.0",
        "sha256": "0123456789abcdef" * 4,
        "network": {"base": 64},
    },
    "command": "scanprior reconstruct scan.h5 -o out",
}


class Page(HTMLParser):
    """The words of a page, its cells and its tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def page(folder: Path, **changes) -> Page:
    (folder / "report.png").write_bytes(PIXEL)
    write_report(folder, {**FACTS, **changes})
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_whole_and_says_everything(tmp_path: Path) -> None:
    got = page(tmp_path)
    assert got.open == []
    rows = [
        ["FBP", "21.30", "0.431", "0.0310", "0", "0.10"],
        ["mean", "–", "0.900", "0.0200", "8 x 50", "4.00"],
    ]
    assert got.cells[:6] == ["method", "PSNR [dB]", "SSIM", "data residual", "NFE", "s / slice"]
    assert [got.cells[6:12], got.cells[12:18]] == rows
    for words in ("Not for diagnosis", "standard-deviation map", "± 27 %", "scanprior reconstruct scan.h5"):
        assert words in got.words
    facts = dict(zip(got.cells[18::2], got.cells[19::2], strict=True))
    assert facts["seed"] == "7"
    assert facts["request device"] == "cpu"
    assert facts["sha256"] == "0123456789abcdef…"
    assert facts["data"] == "1, 23, 363"
    assert got.cells.count("seed") == 1  # not again under provenance


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    got = page(tmp_path)
    (image,) = (attributes["src"] for tag, attributes in got.tags if tag == "img")
    assert base64.b64decode(image.removeprefix("data:image/png;base64,")) == PIXEL
    assert not {"script", "link", "iframe"} & {tag for tag, _ in got.tags}
    source = re.sub(r"base64,[^\"]*", "", (tmp_path / "report.html").read_text())
    assert "http" not in source and "url(" not in source and "@import" not in source


def test_what_users_write_is_escaped(tmp_path: Path) -> None:
    got = page(tmp_path, input={"note": "<img src=x onerror=alert(1)>"}, command="a && b < c")
    assert "scan <script>alert(1)</script>.h5" in got.words
    assert [a for tag, a in got.tags if tag == "img" and "onerror" in a] == []
    assert "a && b < c" in got.words


def test_measured_data_have_no_truth_and_one_sample_no_spread(tmp_path: Path) -> None:
    got = page(tmp_path, table=[{"method": "m", "residual": 0.1}], settings={"samples": 1})
    assert "There is no truth" in got.words
    assert "standard-deviation map" not in got.words
    assert got.cells[:2] == ["method", "data residual"]


def test_little_is_needed_and_that_is_checked(tmp_path: Path) -> None:
    write_report(tmp_path, {"title": "t", "table": [{"method": "m"}]})
    with pytest.raises(ValueError, match="title and table"):
        write_report(tmp_path, {"input": {}})
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        write_report(tmp_path, {**FACTS, "pictures": ["none.png"]})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html"]


def test_the_sidecar_is_plain_sorted_json(tmp_path: Path, capsys) -> None:
    facts = {
        "b": np.float32(0.5),
        "a": (1, np.arange(2)),
        "c": {"z": float("nan"), "y": Path("x"), "n": np.int64(3)},
    }
    write_sidecar(tmp_path / "report.json", facts)
    written = (tmp_path / "report.json").read_text()
    assert json.loads(written) == {"a": [1, [0, 1]], "b": 0.5, "c": {"n": 3, "y": "x", "z": "nan"}}
    assert written.index('"a"') < written.index('"b"') < written.index('"c"')
    assert "NaN" not in written
    assert capsys.readouterr().err == "warning: report.json: c z is nan, no finite number\n"
    assert [cell(value, "{:.2f}") for value in (None, float("inf"), 1.0)] == ["–", "inf", "1.00"]
