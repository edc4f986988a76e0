"""Answers made to be paid without being right: under `strict` none earns more than the format share."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.scoring import FORMAT_SHARE, score, table_of
from corpus.tasks import task
from tests.corpus.attacks import SAMPLES, TEXTS, VIDEO_SEGMENTATION, WRONG, WRONG_CLIPS, Sample, reply, text_of, wrapped

CASES = [
    *((sample, f"text {number}", reply(text)) for sample in SAMPLES.values() for number, text in enumerate(TEXTS)),
    *((sample, odd, response) for sample in SAMPLES.values() for odd, response in wrapped(text_of(sample.truth))),
    *(
        (SAMPLES[name], f"wrong {number}", reply(answer))
        for name, answers in WRONG.items()
        for number, answer in enumerate(answers)
    ),
    *((VIDEO_SEGMENTATION, f"wrong clip {number}", reply(answer)) for number, answer in enumerate(WRONG_CLIPS)),
]
TYPES = [*SAMPLES.values(), VIDEO_SEGMENTATION]


def rewards(sample: Sample, responses: list[str]) -> list[float]:
    return score(table_of([sample.row(response) for response in responses]))["reward"].to_pylist()


def test_the_table_of_attacks_earns_the_format_share_at_most():
    """And returns: hundreds of them are expressions that would take minutes to evaluate."""
    assert len(CASES) >= 200
    found = score(table_of([sample.row(response) for sample, _, response in CASES])).to_pylist()
    paid = [
        (sample.problem_type, odd, response[:200], got["reward"])
        for (sample, odd, response), got in zip(CASES, found, strict=True)
        if got["reward"] is None or got["reward"] > FORMAT_SHARE + 1e-12
    ]
    assert paid == []


@pytest.mark.parametrize("sample", TYPES, ids=lambda sample: f"{sample.problem_type} {sample.data_type}")
def test_gold_earns_full_marks(sample: Sample):
    assert rewards(sample, [reply(sample.truth)]) == [pytest.approx(1)]


numbers = st.one_of(
    st.integers(-(10**400), 10**400),
    st.integers(-50, 1050),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
)
values = st.recursive(
    numbers,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
anything = st.one_of(
    st.text(max_size=60),
    values.map(json.dumps),
    st.fixed_dictionaries({"time": values, "boxes": values, "positive_points": values, "negative_points": values}).map(
        json.dumps
    ),
    st.fixed_dictionaries({"boxes": values}).map(json.dumps),
    st.fixed_dictionaries({"time": st.lists(numbers, max_size=3)}).map(json.dumps),
    st.dictionaries(st.text("0123456789", max_size=3), st.lists(numbers, max_size=5), max_size=5).map(
        lambda boxes: json.dumps({"boxes": boxes})
    ),
)


@pytest.mark.parametrize("sample", TYPES, ids=lambda sample: f"{sample.problem_type} {sample.data_type}")
@given(answers=st.lists(anything, min_size=1, max_size=8))
def test_whatever_is_answered_has_a_reward_in_range(sample: Sample, answers: list[str]):
    for reward in rewards(sample, [reply(answer) for answer in answers]):
        assert reward is not None
        assert 0 <= reward <= 1


@given(data=st.data())
def test_a_gold_answer_with_one_value_of_a_wrong_kind_earns_the_format_share(data):
    sample = data.draw(st.sampled_from([sample for sample in TYPES if isinstance(sample.truth, dict)]))
    answer = json.loads(json.dumps(sample.truth))
    spot = answer
    while isinstance(spot, dict | list) and spot:
        holder, key = spot, data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        spot = spot[key]
    kinds = [str(spot), True, None, [spot], {"v": spot}, float("nan"), float("inf"), -spot - 1, 1e300]
    holder[key] = data.draw(st.sampled_from(kinds))
    assert rewards(sample, [reply(answer)]) == [pytest.approx(FORMAT_SHARE)]


def test_paper_pays_for_many_of_them():
    """The attacks are attacks: the released reward gives most of those it can be asked about more than the format."""
    tame = [
        (sample, response) for sample, _, response in CASES if sample.problem_type not in ("math", "multiple choice")
    ]
    found = score(table_of([sample.row(response) for sample, response in tame]), "paper")["reward"].to_pylist()
    assert sum(reward > FORMAT_SHARE + 1e-12 for reward in found) > len(tame) / 3


# ---- an attacker that sees nothing but rewards --------------------------------------------------------------------

TRIES, FEW_TRIES = 10_000, 500
GENERATION = 250
HIDDEN = 4  # samples that every try is paid for at once
ALPHABET = '0123456789.,:[]{}"-+/% ABCDEabcdetimbox\\$^()!<>'
SLACK = 1e-9


def hidden_samples(sample: Sample, chance: random.Random) -> list[Sample]:
    """Samples of one type with truths of their own, which the attacker never sees."""
    return [
        Sample(sample.problem_type, _jitter(sample.truth, chance, k), sample.data_type, sample.options)
        for k in range(HIDDEN)
    ]


def _jitter(truth, chance: random.Random, k: int):
    if isinstance(truth, dict):
        return {key: _jitter(value, chance, k) for key, value in truth.items()}
    if isinstance(truth, list) and not isinstance(truth[0], list):
        step = chance.randint(-90, 90)
        if len(truth) == 2 and isinstance(truth[0], float):
            return [round(value + abs(step) / 10, 1) for value in truth]
        return [value + step for value in truth]
    if isinstance(truth, list):
        return [_jitter(value, chance, k) for value in truth]
    if isinstance(truth, float):
        return truth + chance.randint(0, 9)
    return {
        "B": "BDBA"[k],
        "37": ["37", "4", "120", "0.5"][k],
        "12.5": ["12.5", "3", "40", "11"][k],
        "$\\frac{7}{3}$": ["$\\frac{7}{3}$", "12", "$\\sqrt{5}$", "$x+1$"][k],
        "CAFÉ DEL MAR 1998": ["CAFÉ DEL MAR 1998", "NO EXIT", "Rue de Rivoli", "SALE 50%"][k],
    }.get(truth) or [
        truth,
        "Two birds sit on a wire.",
        "He opens the green door.",
        "Children play football in the rain.",
    ][k]


def paid(samples: list[Sample], responses: list[str]) -> list[float]:
    """The mean reward of each response over all hidden samples."""
    rows = [sample.row(response) for sample in samples for response in responses]
    found = score(table_of(rows))["reward"].to_numpy(zero_copy_only=False).reshape(len(samples), -1)
    return found.mean(axis=0).tolist()


def climb(samples, seeds, change, tries: int, chance: random.Random) -> tuple[float, str]:
    """The best of `tries` responses found by keeping the best ten and changing them."""
    best = sorted(zip(paid(samples, seeds), seeds, strict=True), reverse=True)[:10]
    done = len(seeds)
    while done < tries:
        fresh = [change(chance.choice(best)[1], chance) for _ in range(min(GENERATION, tries - done))]
        done += len(fresh)
        pool = {response: reward for reward, response in [*best, *zip(paid(samples, fresh), fresh, strict=True)]}
        best = sorted(((reward, response) for response, reward in pool.items()), reverse=True)[:10]
    return best[0]


def attack(response: str, chance: random.Random) -> str:
    """Any change of any text: characters in, out, doubled, numbers moved, halves joined."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(response) + 1)
        end = min(len(response), at + chance.randint(0, 6))
        kind = chance.randrange(5)
        if kind == 0:
            response = response[:at] + chance.choice(ALPHABET) + response[at:]
        elif kind == 1:
            response = response[:at] + response[end:]
        elif kind == 2:
            response = response[:at] + response[at:end] * 2 + response[end:]
        elif kind == 3:
            response = response[:at] + str(chance.randint(-5, 1005)) + response[end:]
        else:
            response = nudge(response, chance)
    return response[:5000]


def nudge(response: str, chance: random.Random) -> str:
    """One number of a response moved a little or a lot: all that an honest constant answer can be changed in."""
    import re

    found = list(re.finditer(r"\d+(?:\.\d+)?", response))
    if not found:
        return response
    number = chance.choice(found)
    moved = float(number[0]) + chance.choice([-50, -10, -3, -1, -0.5, 0.5, 1, 3, 10, 50])
    text = f"{moved:g}" if moved >= 0 else "0"
    return response[: number.start()] + text + response[number.end() :]


@pytest.mark.parametrize(
    "tries", [pytest.param(FEW_TRIES, id="few tries"), pytest.param(TRIES, id="many tries", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("sample", TYPES, ids=lambda sample: f"{sample.problem_type} {sample.data_type}")
def test_an_attacker_that_sees_only_rewards_ends_no_higher_than_the_best_constant_answer(sample: Sample, tries: int):
    chance = random.Random(f"{sample.problem_type} {sample.data_type}")
    hidden = hidden_samples(sample, chance)
    constants = [reply(one.truth) for one in hidden]
    best_constant, _ = climb(hidden, constants, nudge, TRIES if isinstance(sample.truth, dict) else 400, chance)
    wrong = WRONG_CLIPS if sample is VIDEO_SEGMENTATION else WRONG[sample.problem_type]
    shown = task(sample.problem_type).template_for(sample.data_type).split("<answer>")[-1].split("</answer>")[0]
    seeds = [reply(text) for text in (*TEXTS[:14], *wrong, shown)] + [response for _, response in wrapped("0")][:12]
    reward, response = climb(hidden, seeds, attack, tries, chance)
    assert reward <= best_constant + SLACK, response
