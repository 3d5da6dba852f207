//! The recorded cases that make or start containers, against the tools as they are.

use vz_golden::{
    real,
    suite::{self, Suite},
};

#[test]
fn the_ratchet_holds() {
    if let Some(reason) = real::missing() {
        println!("skipped: {reason}");
        return;
    }
    let program = env!("CARGO_BIN_EXE_vz-golden");
    let suite = Suite::load(suite::build().unwrap(), program.as_ref()).unwrap();
    let ratchet = suite.ratchet().unwrap();
    let verdict = ratchet.judge(&suite.run(true, &[]));
    for (group, names) in &verdict.pending {
        println!("pending in {group}: {}", names.len());
    }
    assert!(verdict.holds(), "\n{}", verdict.complaints());
}
