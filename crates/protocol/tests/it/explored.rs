use std::env;

use repot_core::moving::Lead;
use repot_protocol::{Budget, Mutant, Scenario, State, explore, wander};

/// States of one scenario, at the most.
const STATES_MAX: usize = 3_000_000;

#[test]
fn every_order_of_steps_keeps_the_invariants() {
    for scenario in Scenario::ALL {
        let outcome = explore(scenario.start(), None, STATES_MAX);
        println!("{}: {} states", scenario.name, outcome.states);
        if let Some(violation) = outcome.violation {
            panic!("{}: {violation}", scenario.name);
        }
        assert!(outcome.complete, "{}: more than {STATES_MAX} states", scenario.name);
    }
}

#[test]
fn every_rule_left_out_is_noticed() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let may_miss = |scenario: &Scenario| {
            (!mutant.is_of_reads() || scenario.is_of_reads())
                && (!mutant.is_of_outsiders() || scenario.is_database)
        };
        let found = Scenario::ALL.into_iter().filter(may_miss).find_map(|scenario| {
            Some((scenario, explore(scenario.start(), Some(mutant), STATES_MAX).violation?))
        });
        match found {
            Some((scenario, violation)) => println!("{mutant:?}, {}: {violation}", scenario.name),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}

#[test]
fn long_ways_by_chance_keep_the_invariants() {
    let (seed, walks) = if env::var_os("REPOT_FULL").is_some() { (7, 2_000_000) } else { (1, 1_500) };
    let budget = Budget {
        appends: 7,
        clears: 2,
        reads: 4,
        switches: 5,
        shares: 3,
        aborts: 2,
        crashes: 2,
        cuts: 3,
        lapses: 6,
        entries: 3,
    };
    println!("seed {seed}, {walks} ways");
    let start = State::new(Lead::Old, false, budget);
    for start in [start.clone(), start.between_databases()] {
        if let Some(violation) = wander(&start, None, seed, walks) {
            panic!("seed {seed}: {violation}");
        }
    }
}
