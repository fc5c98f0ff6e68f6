"""A recipe becomes a plan, from headers alone: every error that names, shapes and settings can reveal is raised here."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

from ...checkpoints.dtypes import DTYPES
from ...checkpoints.tensors import Checkpoint
from ...errors import CompatibilityError, RecipeError
from ...weights.method import Method
from ..language.document import Document, Module
from ..language.regions import Region, Rule, regions_of, rules_of
from ..language.values import matches_any
from ..tokenizer.chat_template import chat_template_text, with_chat_template
from ..tokenizer.vocabulary import plan_vocabulary, same_tokenizers
from .after import steps_of
from .assemble import check_counts, tensor_plan
from .beside import check_statistics
from .inherit import config_warnings, inherited_files, joint_licence, result_config
from .outputs import Output, Territory, first_layers_moved, outputs_of, territories_of
from .parameters import check_levels, filters_used
from .parts import Surroundings, main_type
from .plan import Plan, TensorPlan
from .views import open_input, open_views


def build_plan(
    document: Document,
    *,
    near: str | Path | None = None,
    opened: MutableMapping[str, Checkpoint] | None = None,
    seed: int | None = None,
    methods: Mapping[str, Method] | None = None,
) -> Plan:
    """The plan of one document.

    near: folder where relative paths are looked up after the current one. opened: inputs that are open already, by label; others join them.
    seed: None for the document's, which is 0 unless it says otherwise. methods: rows by name, the catalog's by default.
    Raises RecipeError and ParameterError before any input is opened, CheckpointError and CompatibilityError after.
    """
    if methods is None:
        from ...catalog import METHODS

        methods = METHODS
    opened = {} if opened is None else opened
    rules, regions, warnings = _checked(document, methods)
    views = open_views({r.label: r.override_architecture for r in document.references}, document.needs, opened, near)
    donor = next(iter(views.values()))
    territories = territories_of(regions, views, donor)
    outputs = outputs_of(territories, views, donor)
    vocabulary = plan_vocabulary(
        document.tokenizer_settings,
        [view.checkpoint for view in views.values()],
        views[document.base_model.label].index if document.base_model else None,
        donor.index,
        open_model=lambda label: open_input(label, document.needs, opened, near),
    )
    statistics = {
        label: {word: open_input(reference.label, document.needs, opened, near) for word, reference in words.items()}
        for label, words in document.statistics.items()
    }
    around = Surroundings(document, methods, rules, views, donor, vocabulary, statistics)
    kept, untied, more = _without_tied(outputs, around)
    warnings += more
    tensors = tuple(plan for plan in (tensor_plan(output, around) for output in kept) if plan is not None)
    if not tensors:
        raise CompatibilityError(f"the inputs {', '.join(views)} have no tensor in common; check that they are models of one kind")
    warnings += _unmatched(document, regions, rules, outputs) + first_layers_moved(territories, donor)
    return _finished(document, tensors, around, territories, warnings, untied, seed)


def _checked(document: Document, methods: Mapping[str, Method]) -> tuple[tuple[Rule, ...], tuple[Region, ...], list[str]]:
    """What can be said without opening an input."""
    rules = rules_of(document, methods)
    regions = regions_of(document, rules[-1].method)
    rules[-1].method.preset(document.preset)
    for rule in rules:
        steps_of(document.after, rule.method, document.base_model is not None)
    check_statistics(document, [rule.method for rule in rules])
    for key in ("missing", "shapes"):
        if getattr(document, key) == "base" and document.base_model is None:
            raise RecipeError(f"{key}: 'base' needs a base; add base_model")
    if document.chat_template not in (None, "auto"):
        chat_template_text(document.chat_template or "", ())
    warnings = list(check_levels(document, regions, rules))
    for region in regions:
        for block in region.blocks:
            check_counts(rules[-1], block, document)
    blocks: list[Document | Module] = [document, *(document.modules or {}).values()]
    if any(piece.residual_weight is not None for block in blocks for piece in block.slices or []):
        warnings.append("residual_weight has no effect, here as in mergekit")
    return rules, regions, warnings


def _without_tied(outputs: Sequence[Output], around: Surroundings) -> tuple[list[Output], bool, list[str]]:
    """The outputs without those that the donor does not store because it ties them; whether the result must be untied; warnings."""
    kept, untied, warnings = [], False, []
    donor, policy = around.donor, around.document.missing
    for output in outputs:
        views = [around.views[source.label] for source in output.block.sources] if output.block else [donor]
        apart = [view for view in views if output.name in view.checkpoint and not view.is_tied(output.name)]
        if not donor.leaves_out(output.name):
            kept.append(output)
            if not donor.is_tied(output.name):
                tying = [v for v in views if output.name in v.checkpoint.shared or v.stored(output.name) not in (None, output.name)]
                warnings += [
                    f"model '{v.label}' ties {output.name} to {v.tied_to(output.name)}, the result keeps them apart" for v in tying
                ]
            elif output.name in donor.checkpoint.shared and apart:
                warnings.append(f"the result stores {output.name} on its own, as '{apart[0].label}' does and '{donor.label}' does not")
            continue
        if apart and policy == "error":
            raise CompatibilityError(
                f"model '{apart[0].label}': {output.name} is stored on its own, '{donor.label}' ties it to {donor.tied_to(output.name)}; "
                "set missing to 'base' to keep it tied or to 'union' to untie the result"
            )
        if apart and policy == "union":
            kept.append(output)
            untied = True
            warnings.append(f"the result stores {output.name} on its own, as '{apart[0].label}' does and '{donor.label}' does not")
            continue
        for view in views:
            if output.name in view.checkpoint:
                around.ledger.drop(view, output.name, f"tied to {donor.tied_to(output.name)} in '{donor.label}'")
        warnings += [f"model '{view.label}': its own {output.name} is left out, '{donor.label}' ties it" for view in apart]
    return kept, untied, warnings


def _unmatched(document: Document, regions: Sequence[Region], rules: Sequence[Rule], outputs: Sequence[Output]) -> list[str]:
    names = list({name for output in outputs for name in (output.name, *output.names)})
    warnings = [
        f"{w}: filter '{word}' matches no tensor" for w, word in filters_used(document, regions, rules) if not matches_any(word, names)
    ]
    for rule in rules[:-1]:
        if not any(rule.matches(output.name) for output in outputs):
            warnings.append(f"{rule.where}: filter '{rule.word}' matches no tensor")
    return warnings


def _finished(
    document: Document,
    tensors: tuple[TensorPlan, ...],
    around: Surroundings,
    territories: Sequence[Territory],
    warnings: list[str],
    untied: bool,
    seed: int | None,
) -> Plan:
    views, donor, vocabulary = around.views, around.donor, around.vocabulary
    checkpoints = tuple(view.checkpoint for view in views.values())
    dtype, more = _types(document, tensors, checkpoints, donor.checkpoint)
    warnings += more
    config, more = result_config(document, donor, views, territories, {t.name for t in tensors}, untied, dtype)
    warnings += more
    files = inherited_files(donor.checkpoint)
    if vocabulary is None:
        sentence = same_tokenizers(checkpoints)
        warnings += [sentence] if sentence else []
    else:
        files = vocabulary.side_files(files)
        config = vocabulary.patch_config(config) if config is not None else None
        warnings += vocabulary.warnings
    if document.chat_template is not None:
        text = chat_template_text(document.chat_template, checkpoints)
        if text is None:
            warnings.append("chat_template: no input has one, the result has none")
        else:
            files = with_chat_template(files, text)
    warnings += config_warnings(list(views.values()), donor)
    if not any(tensor.method is not None for tensor in tensors):
        givers = ", ".join(f"'{label}'" for label in sorted({t.labels[0] for t in tensors}))
        warnings.append(f"no tensor is merged: the result is a copy of parts of {givers}")
    warnings += [sentence for checkpoint in checkpoints for sentence in checkpoint.warnings]
    ignored = {f"{c.label}: {name}": reason for c in checkpoints for name, reason in c.ignored.items()}
    licence, more = joint_licence(checkpoints)
    warnings += more
    return Plan(
        tensors=tensors,
        checkpoints=checkpoints,
        recipe=document.resolved(),
        donor=donor.checkpoint,
        config=config,
        side_files=files,
        dropped=ignored | dict(around.ledger.dropped(views.values(), territories, donor)),
        warnings=tuple(dict.fromkeys(warnings)),
        licence=licence,
        seed=seed if seed is not None else document.seed or 0,
        vocabulary=() if vocabulary is None else vocabulary.summary(),
        statistics=tuple({id(one): one for words in around.statistics.values() for one in words.values()}.values()),
    )


def _types(
    document: Document, tensors: Sequence[TensorPlan], checkpoints: Sequence[Checkpoint], donor: Checkpoint
) -> tuple[str | None, list[str]]:
    """The type of most of the result, in torch's words, where that is not the donor's; and a warning where the inputs' types differ."""
    if document.dtype is not None or document.out_dtype is not None:
        return None, []
    ours = main_type([(t.dtype, t.count) for t in tensors])
    by_input = {main_type([(ref.stored, ref.count) for ref in one.values()]) for one in (donor, *checkpoints)}
    theirs = main_type([(ref.stored, ref.count) for ref in donor.values()])
    mixed = {ref.stored for t in tensors if t.method is not None and len({ref.stored for ref in t.sources}) > 1 for ref in t.sources}
    types, warnings = sorted(mixed | (by_input if len(by_input) > 1 else set())), []
    if types:
        made = ", ".join(sorted({t.dtype for t in tensors if DTYPES[t.dtype].floating}))
        warnings.append(f"the inputs have different types ({', '.join(types)}), the result has {made}; set dtype to choose one")
    return (DTYPES[ours].torch if ours and ours != theirs else None), warnings
