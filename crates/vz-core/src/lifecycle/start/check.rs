//! What a configuration must say of its beancounters before a container is started.

use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::ubc::Resource;

use crate::error::{Error, Result};
use crate::report::Report;

/// The least NUMIPTENT: the original raised a lower one to this.
const LEAST_PACKET_FILTER_RULES: u64 = 16;

/// Names each beancounter that is missing. A VSwap container needs RAM and swap, another one all
/// but two.
///
/// # Errors
/// [`Exit::NotEnoughUbcParameters`] when one is missing.
pub fn beancounters(config: &Config, report: &mut dyn Report) -> Result<()> {
    let required: Vec<Resource> = match config.is_vswap() {
        true => vec![Resource::Physpages, Resource::Swappages],
        false => Resource::ALL
            .into_iter()
            .filter(|resource| !matches!(resource, Resource::Avnumproc | Resource::Swappages))
            .collect(),
    };
    let mut complete = true;
    for resource in required {
        if config.ubc.get(resource).is_none() {
            let name = resource.key().to_ascii_lowercase();
            report.error(&format!("Error: required UB parameter {name} not set"));
            complete = false;
        }
    }
    if !complete {
        return Err(Error::Reported(Exit::NotEnoughUbcParameters));
    }
    if let Some(rules) = config.ubc.get(Resource::Numiptent)
        && rules.barrier.min(rules.limit) < LEAST_PACKET_FILTER_RULES
    {
        let least = LEAST_PACKET_FILTER_RULES;
        report.error(&format!(
            "Warning: NUMIPTENT {}:{} is less than minimally allowable value, set to {least}:{least}",
            rules.barrier, rules.limit
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Kept;
    use vz_conf::ubc::BarrierLimit;

    fn check(set: &[(Resource, BarrierLimit)]) -> (Option<u8>, Vec<String>) {
        let mut config = Config::default();
        for (resource, value) in set {
            config.ubc.set(*resource, Some(*value));
        }
        let mut said = Kept::default();
        let code = beancounters(&config, &mut said).err().map(|error| error.code());
        (code, said.0.into_iter().map(|(_, line)| line).collect())
    }

    #[test]
    fn what_is_missing_is_named() {
        let (code, said) = check(&[]);
        assert_eq!((code, said.len()), (Some(28), 20));
        assert_eq!(said[0], "Error: required UB parameter kmemsize not set");
        let ram = (Resource::Physpages, BarrierLimit { barrier: 0, limit: 1000 });
        let swap = "Error: required UB parameter swappages not set".to_owned();
        assert_eq!(check(&[ram]), (Some(28), vec![swap]));
        let both = [ram, (Resource::Swappages, BarrierLimit { barrier: 0, limit: 1000 })];
        assert_eq!(check(&both), (None, Vec::new()));
        let few = [both[0], both[1], (Resource::Numiptent, BarrierLimit::both(5))];
        let raised = "Warning: NUMIPTENT 5:5 is less than minimally allowable value, set to 16:16";
        assert_eq!(check(&few), (None, vec![raised.to_owned()]));
    }

    #[test]
    fn ram_without_a_limit_needs_all_the_others() {
        let all: Vec<_> =
            Resource::ALL[..20].iter().map(|r| (*r, BarrierLimit::UNLIMITED)).collect();
        assert_eq!(check(&all), (None, Vec::new()));
        assert_eq!(check(&all[1..]).0, Some(28));
    }
}
