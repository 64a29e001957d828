"""The house's rules, read from the files (docs/architecture.md): who may import whom, no cycles, short files, heavy
packages lazily and in one place, a wheel that holds the whole library and nothing else. Each is a function
`(root) -> list of violations`; tests/test_architecture.py asserts them."""

from __future__ import annotations

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Files at the root that every folder may import, and that import nothing of ours.
GROUND = ("errors", "geometry", "modality", "named")
FOLDERS = ("operators", "priors", "formats", "pretrained", "recon", "report", "workflows", "cli")
ARROWS = {
    "operators": set(),
    "priors": set(),
    "formats": set(),
    "pretrained": {"priors"},
    "recon": {"operators", "priors"},
    "report": {"recon", "formats"},
    "workflows": {"operators", "priors", "formats", "pretrained", "recon", "report"},
    "cli": {"operators", "priors", "formats", "pretrained", "recon", "report", "workflows"},
}
WIDER = {
    "recon.study": {"formats"},
    "recon.assumed": {"formats"},
    "recon.simulate": {"formats"},
    "recon.display": {"formats", "pretrained"},
    "recon.presets": {"formats", "pretrained"},
    "recon.records": {"formats", "pretrained"},
}
HEAVY = {"astra", "sigpy", "finufft", "matplotlib", "pydicom", "ismrmrd", "nibabel", "skimage"}
HEAVY |= {"torchmetrics", "optuna"}
# Heavy packages are imported in one file of a folder, or in those listed here: folder -> package -> files.
SHARED = {
    "formats": {"nibabel": {"dicom_mosaic.py", "nifti.py", "nifti_header.py"}},
    "report": {"matplotlib": {"curves.py", "figures.py"}},
}
NEVER = {"formats": {"torch"}, "geometry.py": {"torch"}}  # not even lazily: `scanprior info` must not load it
LONGEST_FUNCTION, MOST_PARAMETERS = 60, 8
LONGEST, AT_ROOT = (
    400,
    {"__init__.py", "__init__.pyi", "__main__.py", "py.typed", *(f"{name}.py" for name in GROUND)},
)


@dataclass(frozen=True)
class Import:
    """One import statement's target, e.g. ours: ("operators", "linear"), theirs: ("numpy", "linalg")."""

    file: Path  # relative to the root
    line: int
    ours: bool
    target: tuple[str, ...]
    eager: bool  # runs when the module is imported


# --- reading
def library(root: Path) -> list[Path]:
    """The library's Python files, relative to the root, without the root's own __init__.py."""
    ground = [Path(f"{name}.py") for name in GROUND if (root / f"{name}.py").is_file()]
    folders = (path.relative_to(root) for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    return sorted([*ground, *folders])


def name_of(file: Path) -> tuple[str, ...]:
    """operators/linear.py -> (operators, linear); operators/__init__.py -> (operators,)."""
    parts = file.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(root: Path, file: Path) -> Iterator[Import]:
    """Every import of a file: at the top, inside functions, under TYPE_CHECKING, by import_module."""
    package = name_of(file) if file.name == "__init__.py" else name_of(file)[:-1]

    def resolve(module: str, level: int) -> tuple[bool, tuple[str, ...]]:
        parts = tuple(part for part in module.split(".") if part)
        if level:
            return True, package[: len(package) - (level - 1)] + parts
        return (True, parts[1:]) if parts[:1] == ("scanprior",) else (False, parts)

    def walk(node: ast.AST, eager: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(file, child.lineno, *resolve(alias.name, 0), eager)
            elif isinstance(child, ast.ImportFrom):
                ours, base = resolve(child.module or "", child.level)
                for alias in child.names:
                    below = (*base, alias.name)
                    path = root.joinpath(*below)
                    deeper = ours and (path.is_dir() or path.with_suffix(".py").is_file())
                    yield Import(file, child.lineno, ours, below if deeper else base, eager)
            elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith(
                ("import_module", "__import__")
            ):
                first = child.args[0] if child.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    module = first.value.lstrip(".")
                    yield Import(file, child.lineno, *resolve(module, len(first.value) - len(module)), eager)
            lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from walk(ast.Module(child.body, []), False)
                child = ast.Module(child.orelse, [])
            yield from walk(child, eager and not lazy)

    yield from walk(ast.parse((root / file).read_text(encoding="utf-8"), str(file)), True)


# --- the rules
def forbidden_arrows(root: Path) -> list[str]:
    """A folder imports only the ground and the folders below it."""
    bad = []
    for file in library(root):
        name, folder = ".".join(name_of(file)), name_of(file)[0]
        allowed = set() if folder in GROUND else {folder, *GROUND} | ARROWS[folder]
        for module, more in WIDER.items():
            if name == module or name.startswith(f"{module}."):
                allowed |= more
        for item in imports(root, file):
            if item.ours and item.target and item.target[0] not in allowed:
                bad.append(
                    f"{file}:{item.line} imports {'.'.join(item.target)}; {name} may import {sorted(allowed)}"
                )
    return bad


def cycles(root: Path) -> list[str]:
    """No module imports one that imports it, at whatever moment: late imports and those of types are arrows too."""
    files = [*library(root), Path("__init__.py")]
    known = {name_of(file) for file in files}
    graph = {
        name_of(file): {
            item.target
            for item in imports(root, file)
            if item.ours and item.target in known and item.target != name_of(file)
        }
        for file in files
        if (root / file).is_file()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return ["cycle: " + " -> ".join(".".join(name) or "scanprior" for name in error.args[1])]
    return []


def long_files(root: Path) -> list[str]:
    """No library or test file is longer than LONGEST lines."""
    tests = [path.relative_to(root) for path in (root / "tests").rglob("*.py")]
    lengths = {
        file: len((root / file).read_text(encoding="utf-8").splitlines()) for file in [*library(root), *tests]
    }
    return [
        f"{file} has {n} lines, at most {LONGEST}: split it by idea"
        for file, n in lengths.items()
        if n > LONGEST
    ]


def long_functions(root: Path) -> list[str]:
    """No function is longer than LONGEST_FUNCTION lines."""
    return [
        f"{file}:{node.lineno} {node.name} has {length} lines, at most {LONGEST_FUNCTION}: one step, one function"
        for file in library(root)
        for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]


def many_parameters(root: Path) -> list[str]:
    """No function takes more than MOST_PARAMETERS, outside cli/, whose verbs have an option each."""
    bad = []
    for file in library(root):
        for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and file.parts[0] != "cli":
                found = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                count = len([one for one in found if one.arg not in ("self", "cls")])
                if count > MOST_PARAMETERS:
                    bad.append(
                        f"{file}:{node.lineno} {node.name} takes {count}, at most {MOST_PARAMETERS}: group them"
                    )
    return bad


def misplaced_heavy_imports(root: Path) -> list[str]:
    """Heavy packages are imported inside functions, in one file of a folder (or those of SHARED)."""
    bad, users = [], {}
    for file in library(root):
        for item in imports(root, file):
            package = item.target[0] if item.target and not item.ours else ""
            if package in NEVER.get(file.parts[0], ()):
                bad.append(f"{file}:{item.line} imports {package}, which {file.parts[0]} never does")
            if package in HEAVY:
                users.setdefault((file.parent.as_posix(), package), set()).add(file.name)
                if item.eager:
                    bad.append(
                        f"{file}:{item.line} imports {package} at the top; import it inside the function"
                    )
    for (folder, package), files in users.items():
        if len(files) > 1 and not files <= SHARED.get(folder, {}).get(package, set()):
            bad.append(
                f"{folder}: {package} is imported in {sorted(files)}; in one file only, or widen SHARED"
            )
    return bad


def unlisted_packages(root: Path) -> list[str]:
    """pyproject's package list is the tree's; nothing else lies at the root."""
    listed = set(tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {file.parent for file in library(root)} - {Path()}
    inside = {".".join(("scanprior", *folder.parts)) for folder in folders} | {"scanprior"}
    without = {folder for folder in folders if not (root / folder / "__init__.py").is_file()}
    return [
        *(
            f"{name} is missing from pyproject's packages, so from the wheel"
            for name in sorted(inside - listed)
        ),
        *(f"{name} is in pyproject's packages but not in the tree" for name in sorted(listed - inside)),
        *(f"{folder} has no __init__.py" for folder in sorted(without)),
        *(
            f"{path.name} lies at the root and would ship"
            for path in root.glob("*.py")
            if path.name not in AT_ROOT
        ),
    ]


def undocumented_claims(root: Path) -> list[str]:
    """docs/architecture.md's table of folders names only files that exist, or says (planned)."""
    block = re.search(
        r"^## Folders.*?```\n(.*?)```", (root / "docs/architecture.md").read_text(), re.S | re.M
    )
    if block is None:
        return ["docs/architecture.md has no table under '## Folders'"]
    bad, stack = [], []
    for line in block[1].splitlines():
        head = re.match(r"( *)((?:[\w.*-]+(?:/[\w.*-]+)*/?)(?: [\w.*-]+\.\w+)*)(?:  |$)", line)
        if head is None or "(planned" in line:
            continue
        depth, names = len(head[1]) // 2, head[2].split()
        stack[depth:] = [names[0]] if names[0].endswith("/") else []
        bad += [
            f"docs/architecture.md names {''.join(stack[:depth])}{name}, which does not exist"
            for name in names
            if not any(root.glob("".join(stack[:depth]) + name.rstrip("/")))
        ]
    return bad


# --- the wheel
def build_wheel(root: Path, work: Path) -> set[str]:
    """The wheel's files without its metadata, built from a copy of the tree, so that no build/ is left."""
    copy = work / "tree"
    for folder in FOLDERS:
        if (root / folder).is_dir():
            shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in root.iterdir():
        if path.is_file():
            shutil.copy2(path, copy)
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(work)!r})"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def shipped(root: Path) -> set[str]:
    """The wheel should hold every file of the library folders (code, cards, weights), but notes (.md)."""
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    kept = [path.relative_to(root) for path in files if path.suffix not in {".md", ".pyc"}]
    return {f"scanprior/{path}" for path in [*map(Path.as_posix, kept), *AT_ROOT] if (root / path).is_file()}


RULES = [
    forbidden_arrows,
    cycles,
    long_files,
    long_functions,
    many_parameters,
    misplaced_heavy_imports,
    unlisted_packages,
    undocumented_claims,
]
