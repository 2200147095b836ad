//! Whether a capsule can be started here, and as whom. What forbids it is said with what would mend it, before anything is begun.

use std::fs;
use std::path::Path;

use rustix::process::geteuid;

use crate::fault::Missing;
use crate::linux::ids;
use crate::linux::tools::find;
use crate::place::Way;

/// What has to be there, inside and outside.
const PROGRAMS: [&str; 8] = ["pasta", "nft", "ip", "tc", "dockerd", "containerd", "runc", "docker-proxy"];

/// As whom this process would start one.
pub fn way() -> Way {
    if geteuid().is_root() { Way::Service } else { Way::User }
}

/// What is missing here, the first thing first. The control group is asked of [`crate::linux::groups`].
///
/// # Errors
/// That.
pub(crate) fn possible(way: Way) -> Result<(), Missing> {
    for program in PROGRAMS {
        find(program)?;
    }
    device("/dev/net/tun")?;
    match way {
        Way::Service => {
            find("mkfs.ext4")?;
            device("/dev/loop-control")
        }
        Way::User => {
            namespaces(Path::new("/proc/sys"))?;
            find("newuidmap")?;
            find("newgidmap")?;
            ids::of_user().map(drop)
        }
    }
}

/// An ordinary user's own.
fn namespaces(settings: &Path) -> Result<(), Missing> {
    let says = |name: &str| fs::read_to_string(settings.join(name)).map(|said| said.trim().to_owned());
    for (name, forbids) in [("kernel/unprivileged_userns_clone", "0"), ("user/max_user_namespaces", "0")] {
        if says(name).is_ok_and(|said| said == forbids) {
            return Err(Missing::UserNamespaces(name.replace('/', ".")));
        }
    }
    if says("kernel/apparmor_restrict_unprivileged_userns").is_ok_and(|said| said == "1") {
        return Err(Missing::AppArmor);
    }
    Ok(())
}

fn device(path: &str) -> Result<(), Missing> {
    let opened = fs::File::options().read(true).write(true).open(path);
    opened.map(drop).map_err(|_| Missing::Device(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_that_forbids_an_ordinary_user_their_own_namespace_is_named() {
        let settings = tempfile::tempdir().unwrap();
        for folder in ["kernel", "user"] {
            fs::create_dir(settings.path().join(folder)).unwrap();
        }
        let say =
            |name: &str, value: &str| fs::write(settings.path().join(name), format!("{value}\n")).unwrap();
        let heard = || namespaces(settings.path());
        assert_eq!(heard(), Ok(()), "most systems have none of them");

        say("kernel/apparmor_restrict_unprivileged_userns", "1");
        assert_eq!(heard(), Err(Missing::AppArmor));
        say("user/max_user_namespaces", "0");
        assert_eq!(heard(), Err(Missing::UserNamespaces("user.max_user_namespaces".to_owned())));
        say("kernel/unprivileged_userns_clone", "0");
        assert_eq!(heard(), Err(Missing::UserNamespaces("kernel.unprivileged_userns_clone".to_owned())));
        for name in ["kernel/apparmor_restrict_unprivileged_userns", "kernel/unprivileged_userns_clone"] {
            say(name, if name.contains("apparmor") { "0" } else { "1" });
        }
        say("user/max_user_namespaces", "63432");
        assert_eq!(heard(), Ok(()));
    }
}
