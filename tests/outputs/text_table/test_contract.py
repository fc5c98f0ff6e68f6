"""scikit-learn's own checks, on numbers."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from modelweave.outputs.text_table.estimators import TextTableClassifier, TextTableRegressor

NOT_EXACT = {"check_sample_weight_equivalence_on_dense_data": "folds, counts and scales see rows, not weights"}
STACK = {"members": ("linear", "extra_trees"), "folds": 2, "options": {"extra_trees": {"trees": 4}}, "guard": False}


@parametrize_with_checks(
    [
        *(kind(["linear"], mode="single") for kind in (TextTableClassifier, TextTableRegressor)),
        TextTableClassifier(**STACK),
    ],
    expected_failed_checks=lambda _: NOT_EXACT,
)
def test_contract_of_scikit_learn(estimator, check):
    check(estimator)
