"""Checks as the schema carries them."""

from tunefleet.api.validation import Rule, cel_list, checked, keyed_by, worded


def test_rule() -> None:
    assert Rule("self > 0", "be positive").dump() == {"rule": "self > 0", "message": "be positive"}


def test_rule_that_names_and_points() -> None:
    rule = Rule("self.a > 0", "be positive", message_expression="'not ' + self.b", field_path=".a")
    assert rule.dump() == {
        "rule": "self.a > 0",
        "message": "be positive",
        "messageExpression": "'not ' + self.b",
        "fieldPath": ".a",
    }


def test_marks_of_fields() -> None:
    assert checked(Rule("a", "b")) == {"x-kubernetes-validations": [{"rule": "a", "message": "b"}]}
    assert worded("say so") == {"patternMessage": "say so"}
    assert keyed_by("name") == {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


def test_cel_list() -> None:
    assert cel_list(["a", 'b"']) == r'["a", "b\""]'
