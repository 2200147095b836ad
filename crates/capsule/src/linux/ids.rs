//! Who is who inside. The moat's root is whoever starts the capsule; the capsule's root and all its users are ids beside them that are
//! nobody's outside. So what gets out of the capsule is nobody, not even the owner.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{getegid, geteuid};

use crate::fault::{Fault, Missing};
use crate::linux::tools::find;
use crate::place::Way;

/// As many as Linux programs expect.
pub(crate) const COUNT: u32 = 65_536;
/// The capsule's root, as the moat sees it.
pub(crate) const ROOT: u32 = 1;
/// Root's own range: beyond those that distributions and systemd hand out.
const SERVICE: u32 = 0x7100_0000;

/// Where the ranges begin that are this user's.
pub(crate) fn of_user() -> Result<(u32, u32), Missing> {
    let uid = geteuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    let of = |file: &str| {
        let ranges = fs::read_to_string(file).unwrap_or_default();
        range(&ranges, uid, name.as_deref()).ok_or_else(|| Missing::SubordinateIds(file.to_owned()))
    };
    Ok((of("/etc/subuid")?, of("/etc/subgid")?))
}

/// The first range that is long enough.
fn range(ranges: &str, uid: u32, name: Option<&str>) -> Option<u32> {
    ranges.lines().find_map(|line| {
        let mut fields = line.split(':');
        let whose = fields.next()?;
        let begin = fields.next()?.trim().parse().ok()?;
        let count: u32 = fields.next()?.trim().parse().ok()?;
        let ours = Some(whose) == name || whose.parse() == Ok(uid);
        (ours && count >= COUNT).then_some(begin)
    })
}

/// Maps the ids of the moat, which is that process.
pub(crate) fn map(way: Way, pid: i32) -> Result<(), Fault> {
    let wrong = |why: &dyn std::fmt::Display| Fault::at("id map", why);
    match way {
        Way::Service => {
            for file in ["uid_map", "gid_map"] {
                let map = format!("0 0 1\n1 {SERVICE} {COUNT}\n");
                // In one call: the kernel takes no second one.
                fs::write(format!("/proc/{pid}/{file}"), map).map_err(|error| wrong(&error))?;
            }
            Ok(())
        }
        Way::User => {
            let (uids, gids) = of_user()?;
            for (program, own, range) in
                [("newuidmap", geteuid().as_raw(), uids), ("newgidmap", getegid().as_raw(), gids)]
            {
                let numbers = [0, own, 1, 1, range, COUNT].map(|number| number.to_string());
                let said = Command::new(find(program)?).arg(pid.to_string()).args(numbers).output();
                let said = said.map_err(|error| wrong(&error))?;
                if !said.status.success() {
                    return Err(wrong(&String::from_utf8_lossy(&said.stderr).trim()));
                }
            }
            Ok(())
        }
    }
}

/// Maps the ids of the capsule, which is that process, from within the moat: the moat's root is none of them.
pub(crate) fn map_inside(pid: i32) -> std::io::Result<()> {
    for file in ["uid_map", "gid_map"] {
        fs::write(Path::new("/proc").join(pid.to_string()).join(file), format!("0 {ROOT} {COUNT}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_or_number_and_must_be_long_enough() {
        let ranges = "bob:100000:65536\nalice:165536:1000\nalice:231072:65536\n1001:500000:70000\n";

        assert_eq!(range(ranges, 1000, Some("alice")), Some(231_072));
        assert_eq!(range(ranges, 1001, Some("carol")), Some(500_000));
        assert_eq!(range(ranges, 1002, Some("dave")), None);
        assert_eq!(range("alice:1:x\n:::\nalice\n", 1000, Some("alice")), None);
    }
}
