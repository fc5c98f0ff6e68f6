"""The loop against loops written by hand, bit for bit; stopped runs against whole ones; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from modelweave.errors import CheckpointError, CompatibilityError, ParameterError
from modelweave.networks import Batches, Fitted, fit, seeded, supervised

X = torch.randn(70, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()


def network(dropout: float = 0.0) -> nn.Module:
    with seeded(1):
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def test_order_from_the_global_generator_and_a_cosine_by_step():
    mine, other = network(0.3), network(0.3)
    with seeded(5):
        optimizer = torch.optim.SGD(other.parameters(), 0.02, momentum=0.9)
        schedule = CosineAnnealingLR(optimizer, 3 * 5)
        for _ in range(3):
            order = torch.randperm(len(X))
            for at in range(0, len(X), 16):
                rows = order[at : at + 16]
                loss = cross_entropy(other(X[rows]), Y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    with seeded(5):
        batches = Batches((X, Y), size=16, shuffle=torch.default_generator)
        optimizer = torch.optim.SGD(mine.parameters(), 0.02, momentum=0.9)
        done = fit(mine, batches, supervised(cross_entropy), optimizer=optimizer, schedule="cosine", epochs=3)
    assert same(mine, other) and not same(mine, network())
    assert (done.steps, done.epochs, done.stopped) == (15, 3, "end")


def test_order_from_a_seed_clipping_and_a_cosine_by_epoch():
    mine, other = network(), network()
    optimizer = torch.optim.AdamW(other.parameters(), 1e-2)
    schedule = CosineAnnealingLR(optimizer, 4)
    chance = torch.Generator().manual_seed(7)
    for _ in range(4):
        for rows in torch.randperm(len(X), generator=chance).split(16):
            optimizer.zero_grad()
            cross_entropy(other(X[rows]), Y[rows]).backward()
            nn.utils.clip_grad_norm_(other.parameters(), 0.1)
            optimizer.step()
        schedule.step()
    optimizer = torch.optim.AdamW(mine.parameters(), 1e-2)
    batches = Batches((X, Y), size=16, shuffle=True, seed=7)
    fit(mine, batches, supervised(cross_entropy), optimizer=optimizer, schedule="cosine", schedule_every="epoch", epochs=4, clip=0.1)
    assert same(mine, other)


def test_drawn_batches_a_factor_and_steps():
    mine, other = network(), network()
    pace = lambda step, steps: min((step + 1) / 3, (steps - step) / steps)  # noqa: E731
    chance = torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(other.parameters(), 1e-2, weight_decay=0.0)
    schedule = LambdaLR(optimizer, lambda i: pace(i, 20))
    losses = []
    for _ in range(20):
        rows = torch.randint(len(X), (8,), generator=chance)
        loss = cross_entropy(other(X[rows]), Y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    chance = torch.Generator().manual_seed(2)

    def draw():
        rows = torch.randint(len(X), (8,), generator=chance)
        return X[rows], Y[rows]

    told = []
    optimizer = torch.optim.AdamW(mine.parameters(), 1e-2, weight_decay=0.0)
    fit(mine, Batches.drawn(draw), supervised(cross_entropy), optimizer=optimizer, schedule=pace, steps=20, on_step=told.append)
    assert same(mine, other)
    assert [float(report.loss) for report in told] == losses
    assert [(report.epoch, report.step, report.steps) for report in told] == [(1, k + 1, 20) for k in range(20)]


def test_two_optimizers_take_turns():
    def parts():
        with seeded(3):
            return nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 1)])

    mine, other = parts(), parts()
    steppers = [torch.optim.Adam(part.parameters(), 0.05) for part in other]
    for _ in range(5):
        for at in range(0, len(X), 32):
            rows = X[at : at + 32]
            for stepper, loss_of in (
                (0, lambda x: (other[0](x) - x).square().mean()),
                (1, lambda x: other[1](other[0](x)).square().mean()),
            ):
                other.zero_grad()
                loss_of(rows).backward()
                nn.utils.clip_grad_norm_(other[stepper].parameters(), 0.5)
                steppers[stepper].step()

    def turns(network, x):
        yield "front", (network[0](x) - x).square().mean()
        yield "back", network[1](network[0](x)).square().mean()

    optimizers = {word: torch.optim.Adam(part.parameters(), 0.05) for word, part in zip(("front", "back"), mine, strict=True)}
    fit(mine, Batches(X), turns, optimizer=optimizers, epochs=5, clip=0.5)
    assert same(mine, other)


def run(net, folder=None, *, epochs=6, fail_at=None, data=None, **options) -> Fitted:
    """A run with everything that a state must hold: momenta, schedule, dropout, numpy's order, a generator of the loss."""
    chance = torch.Generator().manual_seed(4)
    order = np.random.default_rng(3)

    memory = nn.BatchNorm1d(4, momentum=0.9, affine=False)  # a part of the loss that changes as it is used

    def loss(model, batch):
        x, y = batch
        memory(x)
        return cross_entropy(model(x - memory.running_mean + 0.1 * torch.randn(x.shape, generator=chance)), y)

    def tell(report):
        if report.step == fail_at:
            raise KeyboardInterrupt

    options = {"validate": lambda model: float(cross_entropy(model(X), Y)), "keep": 2, **options}
    return fit(
        net,
        Batches(data or (X, Y), size=16, shuffle=order),
        loss,
        optimizer=torch.optim.AdamW(net.parameters(), 1e-2),
        schedule="cosine",
        epochs=epochs,
        folder=folder,
        stateful=[chance, memory],
        on_step=tell,
        seed=0,
        **options,
    )


@pytest.mark.parametrize("fail_at", [2, 5, 8, 14, 15, 29])
@pytest.mark.parametrize("save_every", [None, 3, 5])
def test_a_resumed_run_ends_as_a_whole_one(tmp_path, fail_at, save_every):
    whole, stopped = network(0.3), network(0.3)
    expected = run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, tmp_path, fail_at=fail_at, save_every=save_every)
    fresh = network(0.3)
    found = run(fresh, tmp_path, save_every=save_every)
    assert same(fresh, whole)
    assert (found.losses, found.scores, found.best) == (expected.losses, expected.scores, expected.best)
    again = network(0.3)
    assert run(again, tmp_path, save_every=save_every).steps == 30
    assert same(again, whole)


@pytest.mark.parametrize("at", [2, 4])
def test_data_loaders_and_functions_resume_too(tmp_path, at):
    rows = torch.utils.data.TensorDataset(X, Y)
    kinds = {
        "loader": lambda: torch.utils.data.DataLoader(rows, batch_size=20, shuffle=True),
        "function": lambda: lambda: ((X[i : i + 20] + torch.rand(1), Y[i : i + 20]) for i in range(0, 70, 20)),
        "drawn": lambda: Batches.drawn(lambda: (X + torch.rand(1), Y), 4),
    }
    for word, data in kinds.items():
        results = []
        for folder, stops in ((None, None), (tmp_path / word, at)):
            net = network(0.2)

            def once(stop_at, net=net, folder=folder, data=data):
                optimizer = torch.optim.SGD(net.parameters(), 0.1)
                stop = lambda report: report.step == stop_at and (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
                fit(net, data(), supervised(cross_entropy), optimizer=optimizer, steps=7, folder=folder, save_every=1, on_step=stop, seed=1)

            if stops:
                with pytest.raises(KeyboardInterrupt):
                    once(stops)
            once(None)
            results.append(net)
        assert same(*results), word


def test_the_run_of_another_seed_data_or_network_is_refused(tmp_path):
    run(network(), tmp_path)
    for change, word in ({"epochs": 7}, "epochs 6, expected 7"), ({"data": (X + 1, Y)}, "data"):
        with pytest.raises(CompatibilityError, match=f"holds a run with {word}.*or another folder"):
            run(network(), tmp_path, **change)
    with pytest.raises(CompatibilityError, match="weights"):
        run(nn.Linear(4, 3), tmp_path)
    (tmp_path / "training.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="training.pt: is damaged"):
        run(network(), tmp_path)


def test_a_state_with_code_is_refused(tmp_path):
    torch.save(nn.Linear(1, 1), tmp_path / "training.pt")
    with pytest.raises(CheckpointError, match="was not written by fit"):
        run(network(), tmp_path)


def test_early_stop_and_the_mean_of_the_best():
    net = nn.Linear(1, 1, bias=False)
    scores, seen = iter([3.0, 1.0, 2.0, 1.0, 5.0, 0.0]), []

    def validate(model):
        assert not model.training and not torch.is_grad_enabled()
        seen.append(model.weight.item())
        return next(scores)

    one = torch.ones(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    done = fit(net, Batches((one, one)), supervised(mse_loss), optimizer=optimizer, epochs=9, validate=validate, patience=3, keep=2)
    assert (done.scores, done.best, done.stopped, done.epochs) == ([3.0, 1.0, 2.0, 1.0, 5.0], 1, "patience", 5)
    assert net.weight.item() == np.float32((seen[1] + seen[3]) / 2)
    assert net.training


def test_a_callback_stops_and_modes_come_back():
    net = network()
    net[1].eval()
    modes = [module.training for module in net.modules()]
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    inside = []

    def stop(report):
        inside.append([module.training for module in net.modules()])
        return report.step == 3

    done = fit(net, Batches((X, Y)), supervised(cross_entropy), optimizer=optimizer, epochs=9, on_step=stop)
    assert (done.steps, done.stopped) == (3, "callback")
    assert all(inside[0]) and [module.training for module in net.modules()] == modes
    fit(net, Batches((X, Y)), supervised(cross_entropy), optimizer=optimizer, epochs=1, on_step=stop, set_mode=False)
    assert inside[-1] == modes


def test_a_seed_leaves_the_global_generator_alone():
    results = []
    for start in (0, 1):
        torch.manual_seed(start)
        net = network(0.5)
        before = torch.get_rng_state()
        fit(net, Batches((X, Y)), supervised(cross_entropy), optimizer=torch.optim.SGD(net.parameters(), 0.1), epochs=1, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        results.append(net)
    assert same(*results)


def test_refusals():
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def go(batches=(X, Y), loss=supervised(cross_entropy), **options):  # noqa: B008
        return fit(net, batches, loss, optimizer=optimizer, **options)

    for options, words in (
        ({}, "either epochs or steps"),
        ({"epochs": 1, "steps": 1}, "either epochs or steps"),
        ({"epochs": 1, "patience": 2}, "give validate"),
        ({"epochs": 1, "schedule": "cosin"}, "unknown schedule 'cosin'; did you mean 'cosine'"),
        ({"epochs": 1, "schedule": "cosine", "batches": lambda: iter([(X, Y)])}, "give steps"),
    ):
        with pytest.raises(ParameterError, match=words):
            go(**options)
    with pytest.raises(CompatibilityError, match="can be read once"):
        go(batches=iter([(X, Y)]), epochs=2)
    with pytest.raises(CompatibilityError, match="has none"):
        go(batches=lambda: iter([]), epochs=1)
    with pytest.raises(CompatibilityError, match="unknown optimizer 'b'"):
        go(loss=lambda network, batch: iter([("b", torch.zeros(()))]), epochs=1)


def test_mixed_precision_by_accelerate():
    pytest.importorskip("accelerate")
    from accelerate.state import AcceleratorState

    mine, other = network(), network()
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    schedule = CosineAnnealingLR(optimizer, 4 * 5)
    for _ in range(4):
        for rows in torch.arange(len(X)).split(16):
            with torch.autocast("cpu", torch.bfloat16):
                out = other(X[rows])
            assert out.dtype == torch.bfloat16
            optimizer.zero_grad()
            cross_entropy(out.float(), Y[rows]).backward()
            nn.utils.clip_grad_norm_(other.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    optimizer = torch.optim.SGD(mine.parameters(), 0.1)
    batches = Batches((X, Y), size=16)
    try:
        fit(mine, batches, supervised(cross_entropy), optimizer=optimizer, epochs=4, schedule="cosine", clip=1.0, accelerate="bf16")
    finally:
        AcceleratorState._reset_state(True)
    assert same(mine, other)
    assert torch.equal(mine(X), other(X))  # no autocast is left behind


def test_progress_goes_to_stderr(capsys):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    fit(net, Batches((X, Y)), supervised(cross_entropy), optimizer=optimizer, epochs=2, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "6/6" in err
