"""What every row of the catalog must keep, generated from the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import modelweave
from modelweave.catalog import METHODS
from modelweave.errors import ModelweaveError, ParameterError
from modelweave.weights.method import Method
from modelweave.weights.part import spec_of

ROWS = list(METHODS.values())
SHAPES = [(9, 14), (33,), (1,), (), (0, 4), (3, 2, 5, 2)]


def those_that_keep(promise: str) -> list[Method]:
    return [row for row in ROWS if promise in row.keeps]


def by_name(rows: list[Method]) -> Any:
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def count_of(row: Method) -> int:
    return row.needs.max_models or 3


def options_of(row: Method, *, thinned: bool = True) -> dict[str, Any]:
    """The values of the row's example; thinned: those too that select entries, in place of defaults."""
    return {p.name: p.shown for p in row.parameters if p.shown is not None and (thinned or p.required)}


def inputs(row: Method, shape: tuple[int, ...] = (9, 14), dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Any, list[Any]]:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator, dtype=torch.float64)
    members = [base + 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count_of(row))]
    return {"w": base.to(dtype)}, [{"w": m.to(dtype)} for m in members]


def run(row: Method, base: Any, members: list[Any], **extra: Any) -> torch.Tensor:
    needs_base = row.needs.base in ("required", "first")
    options = options_of(row) | extra
    return modelweave.merge(members, method=row.name, base=base if needs_base else None, **options)["w"]


@by_name(ROWS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_and_type_are_kept(row: Method, shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        base, members = inputs(row, shape, dtype)
        merged = run(row, base, members)
        assert merged.shape == torch.Size(shape)
        assert merged.dtype == dtype
        # no entry is further from the base than all members together
        reach = torch.stack([(m["w"].double() - base["w"].double()).norm() for m in members]).sum()
        assert (merged.double() - base["w"].double()).norm() <= 3 * reach or row.needs.base not in ("required", "first")
        assert merged.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@by_name(ROWS)
def test_a_cuda_device_computes_the_same(row: Method) -> None:
    base, members = inputs(row)
    found = run(row, {"w": base["w"].cuda()}, [{"w": m["w"].cuda()} for m in members], device="cuda")
    assert found.is_cuda
    assert torch.allclose(found.cpu(), run(row, base, members), rtol=0, atol=1e-5)


@by_name(ROWS)
def test_inputs_are_not_changed(row: Method) -> None:
    base, members = inputs(row)
    before = [base["w"].clone(), *(m["w"].clone() for m in members)]
    run(row, base, members)
    for was, now in zip(before, [base["w"], *(m["w"] for m in members)], strict=True):
        assert torch.equal(was, now)


@by_name(those_that_keep("zero_delta_is_base"))
def test_members_equal_to_the_base_give_the_base(row: Method) -> None:
    base, members = inputs(row)
    merged = modelweave.merge([dict(base)] * len(members), method=row.name, base=base, **options_of(row))["w"]
    assert torch.equal(merged, base["w"])


@by_name(those_that_keep("exact_on_identical"))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_identical_members_give_themselves(row: Method, dtype: torch.dtype) -> None:
    base, members = inputs(row, dtype=dtype)
    base = base if row.needs.base == "required" else dict(members[0])
    options = options_of(row, thinned=False)
    needs_base = row.needs.base in ("required", "first")
    merged = modelweave.merge([members[0]] * len(members), method=row.name, base=base if needs_base else None, **options)["w"]
    tolerance = 2 * torch.finfo(dtype).eps * members[0]["w"].abs().max().item()
    assert torch.allclose(merged, members[0]["w"], rtol=0, atol=tolerance)


@by_name(those_that_keep("single_is_itself"))
def test_one_member_kept_whole_gives_itself(row: Method) -> None:
    base, members = inputs(row)
    needs_base = row.needs.base in ("required", "first")
    options = options_of(row, thinned=False)
    merged = modelweave.merge(members[:1], method=row.name, base=base if needs_base else None, **options)["w"]
    assert torch.allclose(merged, members[0]["w"], rtol=0, atol=1e-6)


@by_name(those_that_keep("order_free"))
def test_the_order_of_members_does_not_matter(row: Method) -> None:
    base, members = inputs(row)
    assert torch.allclose(run(row, base, members), run(row, base, members[::-1]), rtol=0, atol=1e-6)


@by_name(those_that_keep("in_span"))
def test_the_result_is_a_combination_of_the_inputs(row: Method) -> None:
    base, members = inputs(row, dtype=torch.float64)
    merged = run(row, base, members).reshape(-1)
    stack = torch.stack([base["w"], *(m["w"] for m in members)]).reshape(len(members) + 1, -1)
    solution = torch.linalg.lstsq(stack.T, merged[:, None]).solution
    assert (stack.T @ solution - merged[:, None]).abs().max() < 1e-9


def of_rank_one(base: Any, members: list[Any]) -> list[Any]:
    return [{"w": base["w"] + torch.outer(m["w"][:, 0], m["w"][0])} for m in members]


DEGENERATE = {
    "all equal to the base": lambda base, members: [dict(base) for _ in members],
    "one equal to the base": lambda base, members: [*members[:-1], dict(base)],
    "all the same": lambda base, members: [members[0] for _ in members],
    "opposite changes": lambda base, members: [{"w": base["w"] + (-1) ** i * (members[0]["w"] - base["w"])} for i in range(len(members))],
    "changes of rank one": of_rank_one,
    "a change in one entry": lambda base, members: [
        {"w": base["w"] + (torch.arange(126) == i).reshape(9, 14)} for i in range(len(members))
    ],
}


def nudge(values: torch.Tensor, seed: int) -> torch.Tensor:
    """The values, each moved by about a float32's last bit; seed 0 leaves them as they are."""
    share = 1e-7 * torch.randn(values.shape, generator=torch.Generator().manual_seed(seed), dtype=values.dtype)
    return values * (1 + share * (seed > 0))


@by_name(ROWS)
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_changes_give_the_numbers_of_wider_arithmetic(row: Method, case: str) -> None:
    base, members = inputs(row)
    odd = DEGENERATE[case](base, members)
    merged = run(row, base, odd)
    wide, *nudged = (run(row, {"w": base["w"].double()}, [{"w": nudge(m["w"].double(), seed)} for m in odd]) for seed in range(5))
    assert merged.isfinite().all()
    # where the last bits of the inputs decide, any decision is right
    assert torch.allclose(merged.double(), wide, rtol=0, atol=1e-5) or not all(torch.allclose(wide, n, rtol=0, atol=1e-5) for n in nudged)
    # nothing moves further than all members together
    reach = torch.stack([m["w"] - base["w"] for m in odd]).norm(dim=(1, 2)).sum()
    assert row.needs.base != "required" or (merged - base["w"]).norm() <= 3 * reach + 1e-5


@by_name(ROWS)
def test_a_seed_decides_everything(row: Method) -> None:
    base, members = inputs(row, (40, 50))
    first, again, other = (run(row, base, members, seed=s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == ("seeded" not in row.keeps)


@by_name(ROWS)
def test_threads_and_memory_do_not_change_a_bit(row: Method) -> None:
    base, members = inputs(row, (700, 1700), torch.bfloat16)  # more than one unit of work
    one = run(row, base, members, threads=1)
    for threads, memory in ((3, "4MiB"), (2, "1MiB")):
        assert torch.equal(one, run(row, base, members, threads=threads, memory=memory))


@by_name(ROWS)
def test_files_give_the_bits_that_memory_gives(row: Method, tmp_path: Path) -> None:
    base, members = inputs(row, (700, 701), torch.bfloat16)  # more than one window of a file, and no whole number of blocks
    names = [f"m{i}" for i in range(len(members))]
    for name, tensors in zip(["base", *names], [base, *members], strict=True):
        save_file(tensors, tmp_path / f"{name}.safetensors")
    recipe = {
        "merge_method": row.name,
        "models": [{"model": str(tmp_path / f"{name}.safetensors")} for name in names],
        "parameters": options_of(row),
        "dtype": "bfloat16",
    }
    if row.needs.base in ("required", "first"):
        recipe["base_model"] = str(tmp_path / "base.safetensors")
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(recipe))
    from_memory = run(row, base, members)
    for place, memory in (("wide", 1 << 30), ("narrow", 1 << 20)):
        modelweave.merge_recipe(tmp_path / "recipe.yml", tmp_path / place, memory=memory)
        assert torch.equal(from_memory, load_file(tmp_path / place / "model.safetensors")["w"])


@by_name(ROWS)
def test_compiled_and_torch_kernels_agree(row: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    base, members = inputs(row, (30, 170))
    compiled = run(row, base, members)
    monkeypatch.setenv("MODELWEAVE_TORCH_KERNELS", "1")
    assert torch.allclose(compiled, run(row, base, members), rtol=0, atol=3e-7)
    base, members = inputs(row, (30, 170), torch.float64)
    wide = run(row, base, members)
    monkeypatch.delenv("MODELWEAVE_TORCH_KERNELS")
    assert torch.allclose(wide, run(row, base, members), rtol=0, atol=1e-14)


@by_name(ROWS)
def test_bfloat16_is_computed_wide_and_rounded_once(row: Method) -> None:
    base, members = inputs(row, (60, 70), torch.bfloat16)
    narrow = run(row, base, members)
    wide = run(row, {"w": base["w"].double()}, [{"w": m["w"].double()} for m in members])
    step = torch.finfo(torch.bfloat16).eps * wide.abs().clamp(min=1e-3)
    off = (narrow.double() - wide).abs() > 0.5001 * step
    assert off.float().mean() <= 0.002  # an entry at the edge of a selection may fall on the other side


@by_name(ROWS)
def test_non_finite_inputs_are_refused_by_name(row: Method) -> None:
    for bad in (float("nan"), float("inf")):
        base, members = inputs(row)
        members[0]["w"][2, 3] = bad
        with pytest.raises(ModelweaveError, match=r"w of .*NaN or infinity"):
            run(row, base, members)


@by_name([row for row in ROWS if row.needs.base in ("required", "first")])
def test_a_missing_base_is_one_sentence(row: Method) -> None:
    _, members = inputs(row)
    with pytest.raises(ModelweaveError, match="base") as caught:
        modelweave.merge(members, method=row.name, **options_of(row))
    assert "\n" not in str(caught.value)


@by_name([row for row in ROWS if row.needs.max_models])
def test_too_many_members_are_one_sentence(row: Method) -> None:
    base, members = inputs(row)
    with pytest.raises(ModelweaveError, match=str(row.needs.max_models)):
        run(row, base, members * 3)


BAD_VALUES = [(row, p) for row in ROWS for p in row.parameters if p.kind in ("float", "int")]


@pytest.mark.parametrize(("row", "parameter"), BAD_VALUES, ids=[f"{r.name}-{p.name}" for r, p in BAD_VALUES])
def test_values_out_of_range_are_refused(row: Method, parameter: Any) -> None:
    base, members = inputs(row)
    bad: list[Any] = [float("nan"), "much", None if parameter.default is not None else "none"]
    if parameter.above > float("-inf"):
        bad.append(parameter.above)
    if parameter.at_least > float("-inf"):
        bad.append(parameter.at_least - 1)
    if parameter.at_most < float("inf"):
        bad.append(parameter.at_most + 1)
    for value in bad:
        if value is None:
            continue
        with pytest.raises(ParameterError, match=parameter.name):
            run(row, base, members, **{parameter.name: value})


@by_name(ROWS)
def test_a_misspelt_parameter_is_refused_with_the_nearest(row: Method) -> None:
    base, members = inputs(row)
    if row.parameters:
        name = row.parameters[0].name
        with pytest.raises(ParameterError, match=f"did you mean '{name}'|unknown parameter"):
            run(row, base, members, **{name + "x": 1})


@by_name(ROWS)
def test_rows_say_what_they_are(row: Method) -> None:
    assert row.source and row.parts
    assert all(p.shown is not None for p in row.parameters if p.required)
    assert row.needs.min_models <= (row.needs.max_models or 99)


def test_the_group_of_spectra_is_those_that_decompose_matrices() -> None:
    parts = {row.name: [*row.per_delta, *([row.space] if row.space else []), row.combine] for row in ROWS}
    whole = {name for name, steps in parts.items() if any(spec_of(s).kind == "tensors" and spec_of(s).sees == "matrix" for s in steps)}
    assert whole == {row.name for row in ROWS if row.group.startswith("spectra")}
