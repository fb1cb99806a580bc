"""How the templates of every page are rendered."""

import jinja2
import pytest
from teachergrid.pages.environment import FILTERS, environment


def rendered(folder, source: str, filters=FILTERS, **values) -> str:
    (folder / "page.html").write_text(source)
    return environment(folder, filters).get_template("page.html").render(**values)


def test_text_is_escaped_and_null_is_a_dash(tmp_path):
    assert (
        rendered(tmp_path, "{{ name }} {{ unknown }} {{ zero }}", name="<b>", unknown=None, zero=0) == "&lt;b&gt; — 0"
    )


def test_control_characters_are_visible_in_names_and_in_what_is_marked_as_safe(tmp_path):
    text = "<script>alert(1)</script>\x1b[2J\u202e\n"
    escaped = r"&lt;script&gt;alert(1)&lt;/script&gt;\x1b[2J\u202e" + "\n"
    assert rendered(tmp_path, "{{ text }}|{{ text | breakable }}", text=text) == (
        f"{escaped}|{escaped.replace('/', '/<wbr>')}"
    )


def test_a_name_that_no_one_gives_is_an_error(tmp_path):
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        rendered(tmp_path, "{{ missing }}")


def test_blocks_leave_no_lines(tmp_path):
    assert rendered(tmp_path, "{% for i in (1, 2) %}\n  {% if i %}\n{{ i }}\n  {% endif %}\n{% endfor %}") == "1\n2\n"


def test_filters_are_those_of_texts_or_the_given_ones(tmp_path):
    assert rendered(tmp_path, "{{ 4.12 | duration }}") == "4.1\u00a0s"
    assert rendered(tmp_path, "{{ 'x' | twice }}", {"twice": lambda text: 2 * text}) == "xx"
    with pytest.raises(jinja2.TemplateAssertionError, match="duration"):
        rendered(tmp_path, "{{ 4.12 | duration }}", {})


def test_the_shared_templates_are_found_and_own_ones_come_first(tmp_path):
    shared = environment(tmp_path).loader.searchpath[1]
    found = environment(tmp_path).list_templates()
    assert found and str(shared).endswith("pages/template")
    (tmp_path / found[0]).write_text("mine")
    assert environment(tmp_path).get_template(found[0]).render() == "mine"
