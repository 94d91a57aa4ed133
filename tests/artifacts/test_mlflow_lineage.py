"""What a run tells, within bounds and without credentials."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.inspection import MAX_LINEAGE, MAX_LINEAGE_VALUE
from tunefleet.artifacts.mlflow_lineage import MAX_KEY, lineage


def run(**pairs: dict[str, Any]) -> dict[str, Any]:
    data = {kind: [{"key": k, "value": v} for k, v in values.items()] for kind, values in pairs.items()}
    return {"info": {"run_id": "7", "run_name": "r"}, "data": data}


def params_of(params: dict[str, str], secrets: tuple[str, ...] = ()) -> set[str]:
    told = lineage({}, run(params=params), {}, secrets)
    return {key.removeprefix("param.") for key in told if key.startswith("param.")}


def test_the_telling_ones_come_first_and_the_rest_is_left_out() -> None:
    many = {f"p{n:03}": "x" for n in range(100)}
    told = lineage({}, run(params=many, metrics={"loss": 0.5}), {"mlflow.model": "german"}, ())
    assert len(told) == MAX_LINEAGE
    assert list(told)[:4] == ["mlflow.model", "mlflow.run_id", "mlflow.run_name", "metric.loss"]
    assert told["metric.loss"] == "0.5"


def test_long_texts_are_cut_and_long_names_left_out() -> None:
    told = lineage({}, run(params={"prompt": "x" * 5000, "n" * MAX_KEY: "x"}), {}, ())
    assert len(told["param.prompt"]) == MAX_LINEAGE_VALUE
    assert not [key for key in told if len(key) > MAX_KEY]


@pytest.mark.parametrize(
    "name",
    ["password", "db_passwd", "client_secret", "OPENAI_API_KEY", "api-key", "hf_token", "token", "access_key"],
)
def test_what_is_called_like_a_credential_is_left_out(name: str) -> None:
    assert params_of({name: "x"}) == set()


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "pad_token", "eos_token_id", "key_dim", "learning_rate"])
def test_names_of_training_are_none_of_them(name: str) -> None:
    assert params_of({name: "x"}) == {name}


@pytest.mark.parametrize(
    "value",
    [
        "postgres://me:mine@db/runs",
        "https://bucket/x?X-Amz-Signature=1",
        "https://a/x?sv=1&sig=abc",
        "the key is hunter2hunter2",
    ],
)
def test_values_that_give_a_credential_away_are_left_out(value: str) -> None:
    assert params_of({"dataset": value, "shown": "true"}, ("hunter2hunter2", "true")) == {"shown"}


def test_a_dataset_tells_its_name_and_digest_and_not_where_it_is() -> None:
    dataset = {"name": "tickets", "digest": "f00d", "source": "https://data/x?sig=abc"}
    told = lineage({}, {"inputs": {"dataset_inputs": [{"dataset": dataset}, {}, None]}}, {}, ())
    assert told == {"dataset.tickets": "f00d"}


def test_tags_of_the_version_stand_before_those_of_the_run() -> None:
    version = {"tags": [{"key": "team", "value": "of the version"}, {"key": "mlflow.x", "value": "y"}]}
    assert lineage(version, run(tags={"team": "of the run"}), {}, ())["tag.team"] == "of the version"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["info", "data", "inputs", "params", "key", "value", "dataset_inputs"]), inner
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["info", "data", "inputs", "tags"]), _JSON))
def test_any_answer_gives_texts(answer: dict[str, Any]) -> None:
    told = lineage(answer, answer, {}, ())
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in told.items())
