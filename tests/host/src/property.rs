// SPDX-License-Identifier: GPL-2.0

//! Runs tests on generated values.

use proptest::{
    strategy::Strategy,
    test_runner::{
        Config,
        RngSeed,
        TestCaseError,
        TestRunner, //
    },
};

/// Runs `test` on generated values. Their number is `cases`, or `PROPTEST_CASES` if that is set.
/// Every run generates the same values, unless `PROPTEST_RNG_SEED` sets another seed.
pub(crate) fn check<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0);
    }
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("{error}");
    }
}
