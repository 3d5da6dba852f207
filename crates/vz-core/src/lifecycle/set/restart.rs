//! Parameters that a running container takes only when it is restarted, and `--setmode`.

use vz_conf::change::{Change, SetMode};
use vz_conf::config::Config;
use vz_conf::exit::Exit;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::lifecycle::{start, stop};
use crate::report::Report;

/// Says which parameters the running container cannot take, and does what `--setmode` says about
/// them. Returns whether the container was restarted, with all that was asked for in effect.
///
/// # Errors
/// [`Exit::Running`] with `--setmode ignore`: then nothing is applied. Those of a restart.
pub fn if_needed(
    container: &mut Container<'_>,
    change: &Change,
    report: &mut dyn Report,
) -> Result<bool> {
    let refusals = refusals(change, &container.config);
    if refusals.is_empty() {
        return Ok(false);
    }
    if change.setmode == Some(SetMode::Restart) {
        restart(container, change, report)?;
        return Ok(true);
    }
    for refusal in &refusals {
        report.error(&format!("{refusal} on a running container"));
    }
    if change.setmode == Some(SetMode::Ignore) {
        return Err(Error::Reported(Exit::Running));
    }
    report.error(
        "WARNING: Some of the parameters could not be applied to a running container.\n\
         \tPlease consider using --setmode option",
    );
    Ok(false)
}

/// What cannot be done at once, of what differs from the way it is.
fn refusals(change: &Change, current: &Config) -> Vec<&'static str> {
    let (new, after) = (&change.values, change.apply_to(current));
    let mut refusals = Vec::new();
    let mut refuse = |when: bool, text| {
        if when {
            refusals.push(text);
        }
    };
    let capability = new.capability.is_some() && after.capability != current.capability;
    refuse(capability, "Unable to set capability");
    let iptables = new.iptables.is_some() && new.iptables != current.iptables;
    let netfilter = new.netfilter.is_some() && new.netfilter != current.netfilter;
    refuse(iptables || netfilter, "Unable to set iptables/netfilter");
    let features = new.features.is_some() && after.features != current.features;
    refuse(features, "Unable to set features");
    let was_on = current.quotaugidlimit.unwrap_or(0) != 0;
    let is_on = new.quotaugidlimit.map(|limit| limit != 0);
    refuse(is_on == Some(true) && !was_on, "Unable to turn on second-level disk quota");
    refuse(is_on == Some(false) && was_on, "Unable to turn off second-level disk quota");
    let quota = new.disk_quota.is_some() && new.disk_quota != current.disk_quota;
    refuse(quota, "Unable to switch DISK_QUOTA on or off");
    let mount_opts = new.mount_opts.is_some() && new.mount_opts != current.mount_opts;
    refuse(mount_opts, "Unable to change mount options");
    refusals
}

/// Restarts the container as it is going to be. The configuration is saved afterwards, as ever: a
/// value that the container does not start with does not get into it.
fn restart(container: &mut Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    report.info("Restarting container");
    stop::stop(container, stop::Options::default(), report)?;
    let before = container.own.clone();
    container.own = change.apply_to(&before);
    container.refresh();
    let started = start::start(container, start::Options::default(), report);
    container.own = before;
    container.refresh();
    started
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use vz_conf::change::OptionName;
    use vz_conf::context::Context;
    use vz_conf::ctid::Ctid;
    use vz_conf::param::{Commands, by_option};

    fn change(options: &[(&str, &str)]) -> Change {
        let mut change = Change::new();
        for (option, value) in options {
            let param = by_option(Commands::SET, option).unwrap();
            let name = OptionName::Long(param.options[0]);
            change.apply(param, name, value, &Context::new(Ctid::new(101).unwrap())).unwrap();
        }
        change
    }

    #[test]
    fn only_what_differs() {
        let all = change(&[
            ("capability", "net_admin:on"),
            ("netfilter", "full"),
            ("features", "nfs:on"),
            ("quotaugidlimit", "10"),
            ("diskquota", "yes"),
            ("mount_opts", "noatime"),
            ("cpuunits", "1000"),
        ]);
        let before = Config::default();
        assert_eq!(
            refusals(&all, &before),
            [
                "Unable to set capability",
                "Unable to set iptables/netfilter",
                "Unable to set features",
                "Unable to turn on second-level disk quota",
                "Unable to switch DISK_QUOTA on or off",
                "Unable to change mount options",
            ]
        );
        let after = all.apply_to(&before);
        assert_eq!(refusals(&all, &after), [""; 0]);
        let off = change(&[("quotaugidlimit", "0")]);
        assert_eq!(refusals(&off, &after), ["Unable to turn off second-level disk quota"]);
        assert_eq!(refusals(&off, &before), [""; 0]);
    }
}
