"""The import rules of docs/architecture.md, read off the source: rooms in their order, no cycle."""

import ast
import itertools
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmer_jax"

# A room imports from rooms of earlier lines only; rooms of one line do not import each other, but
# for the first line, whose rooms may import those before them.
LAYERS = (
    ("errors", "modalities", "utils", "config"),
    ("media",),
    ("corpora",),
    ("synthetic",),
    ("datasets",),
    ("protocols",),
    ("results",),
    ("evaluation",),
    ("models",),
    ("training",),
    ("inference",),
    ("robustness", "frame_selection", "figures"),
    ("reports",),
    ("experiments",),
    ("tuning",),
    ("cli",),
)
PLACE = {
    room: (i, j) if i == 0 else (i, 0)
    for i, rooms in enumerate(LAYERS)
    for j, room in enumerate(rooms)
}

# What a room must not import, anywhere in it but inside a function where the room is not in this
# table: a GPU host without these packages trains from a pack.
FRAMEWORKS = {
    "media": ("jax", "jaxlib", "flax", "optax", "orbax", "tensorflow", "tensorflow_datasets"),
} | dict.fromkeys(
    ("models", "training", "inference", "evaluation", "protocols"),
    ("tensorflow", "tensorflow_datasets", "cv2", "librosa", "av"),
)


def imports(path):
    """Names of the modules that a file imports, anywhere in it, `from` imports by their parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def package_files():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE] + [
        PACKAGE / "errors.py",
        PACKAGE / "modalities.py",
    ]


def test_every_room_has_a_place_in_the_order():
    assert {room_of(path) for path in package_files()} == set(PLACE)


@pytest.mark.parametrize("room", PLACE)
def test_a_room_imports_from_earlier_rooms_only(room):
    wrong = []
    for path in package_files():
        if room_of(path) != room:
            continue
        for name in imports(path):
            if not name.startswith("mmer_jax."):
                continue
            other = name.split(".")[1]
            if other != room and other in PLACE and PLACE[other] >= PLACE[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", FRAMEWORKS)
def test_a_room_imports_no_framework_that_its_hosts_may_lack(room):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in package_files()
        if room_of(path) == room
        for name in imports(path)
        if name.split(".")[0] in FRAMEWORKS[room]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_import_each_other_in_no_circle():
    def module(path):
        return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    modules = {module(path) for path in package_files()}
    graph = {}
    for path in package_files():
        names = set()
        for name in imports(path):  # a name is a module or something in it
            names |= {name if name in modules else name.rpartition(".")[0]} & modules
        graph[module(path)] = names - {module(path)}
    while free := {name for name, needs in graph.items() if not needs & set(graph)}:
        graph = {name: needs for name, needs in graph.items() if name not in free}
    assert not graph, f"modules in a circle, or behind one: {', '.join(sorted(graph))}"


def test_configs_import_nothing_but_configs_and_the_schema():
    allowed = ("configs", "mmer_jax.config", "mmer_jax.protocols", "ml_collections")
    wrong = [
        f"{path.name} imports {name}"
        for path in sorted((ROOT / "configs").glob("*.py"))
        for name in imports(path)
        if not name.startswith(allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_the_script():
    files = itertools.chain(PACKAGE.rglob("*.py"), (ROOT / "configs").rglob("*.py"))
    assert not [path for path in files if "run" in set(imports(path))]
