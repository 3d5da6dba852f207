//! The recorded cases that need no container, against the tools as they are.

use vz_golden::suite::{self, Suite};

#[test]
fn the_ratchet_holds() {
    let suite = Suite::load(suite::build().unwrap()).unwrap();
    let ratchet = suite.ratchet().unwrap();
    let verdict = ratchet.judge(&suite.run(false, &[]).unwrap());
    for (group, names) in &verdict.pending {
        println!("pending in {group}: {}", names.len());
    }
    assert!(verdict.holds(), "\n{}", verdict.complaints());
}
