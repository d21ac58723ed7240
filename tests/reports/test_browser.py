"""Reports as a browser shows them: nothing overlaps or is loaded, and all that moves works."""

from pathlib import Path

import pytest

from tests.reports.browser import Page

REPORTS = ("credit_report", "demo_report", "hostile_report", "wide_report")
DESKTOP, PHONE = 1280, 390

VISIBLE = "one => one.checkVisibility() && one.getBoundingClientRect().width"

OVERLAPS = f"""(() => {{
  const bad = [];
  for (const svg of document.querySelectorAll('svg')) {{
    if (!({VISIBLE})(svg)) continue;
    const texts = [...svg.querySelectorAll('text')]
      .map(one => [one.textContent, one.getBoundingClientRect()]);
    const frame = svg.getBoundingClientRect();
    texts.forEach(([said, a], i) => {{
      if (a.left < frame.left - 2 || a.right > frame.right + 2 || a.top < frame.top - 2
          || a.bottom > frame.bottom + 2)
        bad.push(`${{said}} leaves ${{svg.getAttribute('aria-label')}}`);
      for (const [other, b] of texts.slice(i + 1))
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
          bad.push(`${{said}} over ${{other}} in ${{svg.getAttribute('aria-label')}}`);
    }});
  }}
  return bad;
}})()"""

OUTSIDE = f"""(() => {{
  const scrolls = '.scroll, nav ul, .hidden, .skip, svg *';
  return [...document.body.querySelectorAll('*')]
    .filter(one => !one.closest(scrolls) && ({VISIBLE})(one))
    .filter(one => {{ const box = one.getBoundingClientRect();
                     return box.right > innerWidth + 1 || box.left < -1; }})
    .map(one => one.outerHTML.slice(0, 120));
}})()"""

FAINT = """(() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * x + .7152 * y + .0722 * z; };
  const ground = one => { for (let at = one; at; at = at.parentElement) {
    const found = numbers(getComputedStyle(at).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found; } return [255, 255, 255]; };
  const bad = new Set();
  const told = 'p, li, td, th, dt, dd, h1, h2, h3, a, button, summary, caption, text, .verdict';
  for (const one of document.body.querySelectorAll(told)) {
    if (!one.checkVisibility() || one.closest('.skip, #tip')) continue;
    const style = getComputedStyle(one);
    const ink = numbers(one.matches('text') ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(one))].sort((x, y) => x - y);
    if ((b + .05) / (a + .05) < 4.5) bad.add(one.outerHTML.slice(0, 100));
  }
  return [...bad];
})()"""


def opened(page: Page, path: Path, width: int, *, dark: bool = False) -> None:
    page.size(width, dark=dark)
    page.go(path)


def box(page: Page, selector: str) -> dict[str, float]:
    """Scroll to an element and return where it is."""
    return page.run(
        f"(async () => {{ const one = document.querySelector({selector!r});"
        "one.scrollIntoView({block: 'center', behavior: 'instant'});"
        # the page hears of it in the next frame
        "for (const _ of [1, 2]) await new Promise(requestAnimationFrame);"
        "const box = one.getBoundingClientRect();"
        "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
    )


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", REPORTS)
def test_nothing_overlaps_and_nothing_is_loaded(
    page: Page, name: str, width: int, request: pytest.FixtureRequest
) -> None:
    opened(page, request.getfixturevalue(name), width)
    assert page.run("document.querySelectorAll('svg').length") > 10
    assert page.run("document.documentElement.scrollWidth") == width
    assert page.run(OUTSIDE) == []
    assert page.run(OVERLAPS) == []
    assert page.complaints == []
    assert page.requests == []


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(page: Page, credit_report: Path, dark: bool) -> None:
    opened(page, credit_report, DESKTOP, dark=dark)
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 21, 24)") is dark
    assert page.run(FAINT) == []


def test_tables_sort_by_value(page: Page, credit_report: Path) -> None:
    opened(page, credit_report, DESKTOP)
    table = "#all > .scroll table"
    column = (
        f"[...document.querySelectorAll('{table} tbody tr')]"
        ".map(row => +row.cells[1].textContent.replace(/,/g, ''))"
    )
    sizes = page.run(column)
    assert sizes == sorted(sizes, reverse=True)
    place = box(page, f"{table} thead th:nth-child(2) button")
    page.click(**place)
    assert page.run(column) == sizes
    state = f"document.querySelector('{table} thead th:nth-child(2)').getAttribute('aria-sort')"
    assert page.run(state) == "descending"
    page.click(**place)
    assert page.run(column) == sizes[::-1]
    assert page.run(state) == "ascending"
    # by the keyboard, and text by text
    page.run(f"document.querySelector('{table} thead th:first-child button').focus()")
    page.ask("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
    ids = page.run(
        f"[...document.querySelectorAll('{table} tbody tr')].map(row => +row.cells[0].dataset.sort)"
    )
    assert ids == list(range(12))
    assert page.run(state) is None


def test_values_are_told_by_mouse_and_keyboard(page: Page, credit_report: Path) -> None:
    opened(page, credit_report, DESKTOP)
    said = "(() => { const tip = document.getElementById('tip');"
    said += "return tip.hidden ? null : tip.textContent; })()"
    assert page.run(said) is None
    page.mouse(**box(page, "#sizes .wide rect.fill"))
    assert "of the rows" in page.run(said)
    page.mouse(5, 5)
    assert page.run(said) is None
    page.mouse(**box(page, ".heat td"))
    assert "mean" in page.run(said)
    # a dot that no center lies on
    box(page, "#map")
    dot = page.run(
        """(() => { const svg = document.querySelector('#map .wide svg');
        for (const path of svg.querySelectorAll('.dots')) {
          for (const one of path.getAttribute('d').matchAll(/M(\\S+) (\\S+)h/g)) {
            const at = new DOMPoint(+one[1], +one[2]).matrixTransform(svg.getScreenCTM());
            const hit = document.elementFromPoint(at.x, at.y);
            if (hit && hit.closest('svg') === svg && !hit.closest('[data-tip]'))
              return {x: at.x, y: at.y}; } } })()"""
    )
    page.mouse(**dot)
    assert "row " in page.run(said)
    box(page, "#sizes .wide svg")
    page.run("document.querySelector('#sizes .wide svg').focus({preventScroll: true})")
    page.key("ArrowDown")
    first = page.run(said)
    page.key("ArrowDown")
    assert first != page.run(said)
    assert page.run(said)
    page.key("Escape")
    assert page.run(said) is None


def test_two_clusters_are_compared(page: Page, credit_report: Path) -> None:
    opened(page, credit_report, DESKTOP)
    pair = "[...document.querySelectorAll('#pair .card .id')].map(one => one.textContent)"
    assert page.run(pair) == ["0", "1"]
    page.run(
        "(() => { const one = document.getElementById('other'); one.value = 3;"
        "one.dispatchEvent(new Event('change')); })()"
    )
    assert page.run(pair) == ["0", "3"]
    table = "document.querySelector('#differences table')"
    assert "heavy spenders" in page.run(f"{table}.tHead.textContent")
    apart = page.run(f"[...{table}.tBodies[0].rows].map(row => Math.abs(row.cells[3].textContent))")
    assert len(apart) == 10
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 0


def test_a_cluster_is_lit_in_all_charts(page: Page, credit_report: Path) -> None:
    opened(page, credit_report, DESKTOP)
    faint = "[...document.querySelectorAll('#{} .wide [data-c]')]"
    faint += ".filter(one => getComputedStyle(one).opacity < .3).length"
    page.ask(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )
    charts = ("sizes", "silhouettes", "map")
    assert [page.run(faint.replace("{}", one)) for one in charts] == [0, 0, 0]
    key = '.key[data-c="2"]'
    page.click(**box(page, key))
    page.mouse(5, 5)
    assert page.run(f"document.querySelector({key!r}).getAttribute('aria-pressed')") == "true"
    assert all(page.run(faint.replace("{}", one)) >= 11 for one in charts)
    lit = "getComputedStyle(document.querySelector('#sizes .wide [data-c=\"2\"]')).opacity"
    assert page.run(lit) == "1"
    page.key("Escape")
    assert [page.run(faint.replace("{}", one)) for one in charts] == [0, 0, 0]


def test_is_read_without_scripts(page: Page, credit_report: Path) -> None:
    page.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened(page, credit_report, DESKTOP)
        assert page.run("document.querySelectorAll('table.sorts button').length") == 0
        assert page.run("document.querySelector('.compare').checkVisibility()") is False
        assert page.run("document.querySelectorAll('.card').length") == 12
    finally:
        page.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_prints(page: Page, credit_report: Path) -> None:
    opened(page, credit_report, PHONE, dark=True)
    page.ask("Emulation.setEmulatedMedia", media="print")
    try:
        assert page.run("document.querySelector('nav').checkVisibility()") is False
        assert page.run("document.querySelector('#sizes .wide').checkVisibility()") is True
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        printed = page.pdf()
    finally:
        page.ask("Emulation.setEmulatedMedia", media="")
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") > 3
