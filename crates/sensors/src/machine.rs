//! Processor, memory, disks and operating system.

use std::collections::BTreeMap;

use ionet_core::hardware::{Cpu, Disk, Os};
use ionet_core::time::Bytes;
use sysinfo::{CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, RefreshKind, System};

use crate::platform;

/// Boot, EFI and recovery partitions are smaller; no work fits on them.
const SMALLEST: u64 = 4 << 30;

pub(crate) fn cpu() -> Cpu {
    let cpus = look(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
    let brand =
        cpus.as_ref().and_then(|system| system.cpus().first()).map(|cpu| cpu.brand().trim().to_owned());
    let threads = cpus.map_or(0, |system| system.cpus().len());
    Cpu { name: brand.unwrap_or_default(), threads: u32::try_from(threads).unwrap_or(u32::MAX) }
}

pub(crate) fn memory() -> Bytes {
    let memory = look(RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram()));
    Bytes(memory.map_or(0, |system| system.total_memory()))
}

pub(crate) fn os() -> Os {
    Os {
        family: std::env::consts::OS.to_owned(),
        name: System::name().unwrap_or_default(),
        version: System::os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
    }
}

/// The disks that work can be kept on, each once, by mount point.
pub(crate) fn disks() -> Vec<Disk> {
    let refresh = DiskRefreshKind::nothing().with_storage();
    let found = Disks::new_with_refreshed_list_specifics(refresh).map(|disks| {
        let of = |disk: &sysinfo::Disk| Mounted {
            device: disk.name().to_string_lossy().into_owned(),
            file_system: disk.file_system().to_string_lossy().into_owned(),
            removable: disk.is_removable(),
            read_only: disk.is_read_only(),
            disk: Disk {
                mount: disk.mount_point().to_string_lossy().into_owned(),
                total: Bytes(disk.total_space()),
                free: Bytes(disk.available_space()),
            },
        };
        disks.iter().map(of).collect()
    });
    real(found.unwrap_or_default())
}

/// One line of the system's table of mounts.
struct Mounted {
    device: String,
    file_system: String,
    removable: bool,
    read_only: bool,
    disk: Disk,
}

/// Leaves out what cannot hold work, and keeps of several mounts of one device the one with the shortest path.
fn real(mounted: Vec<Mounted>) -> Vec<Disk> {
    let mut by_device = BTreeMap::<String, Disk>::new();
    let usable = mounted.into_iter().filter(|one| {
        !one.removable && !one.read_only && one.disk.total.0 >= SMALLEST && !is_no_disk(&one.file_system)
    });
    for Mounted { device, disk, .. } in usable {
        by_device
            .entry(platform::volume(&device, &disk.mount))
            .and_modify(|known| {
                if disk.mount.len() < known.mount.len() {
                    *known = disk.clone();
                }
            })
            .or_insert(disk);
    }
    let mut disks: Vec<_> = by_device.into_values().collect();
    disks.sort_by(|a, b| a.mount.cmp(&b.mount));
    disks
}

/// What a program mounts calls itself `fuse.` and the program's name (sshfs, rclone); `fuseblk` is a disk.
fn is_no_disk(file_system: &str) -> bool {
    platform::NOT_DISKS.contains(&file_system) || file_system.starts_with("fuse.")
}

fn look(what: RefreshKind) -> Option<System> {
    System::new_with_specifics(what)
        .inspect_err(|error| tracing::warn!(%error, "the system does not answer"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(device: &str, mount: &str, gigabytes: u64) -> Mounted {
        Mounted {
            device: device.to_owned(),
            file_system: "ext4".to_owned(),
            removable: false,
            read_only: false,
            disk: Disk { mount: mount.to_owned(), total: Bytes(gigabytes << 30), free: Bytes(1 << 30) },
        }
    }

    fn mounts(disks: &[Disk]) -> Vec<&str> {
        disks.iter().map(|disk| disk.mount.as_str()).collect()
    }

    #[test]
    fn a_device_mounted_twice_is_one_disk() {
        let table = vec![
            mounted("/dev/nvme0n1p2", "/var/lib/docker", 900),
            mounted("/dev/nvme0n1p2", "/", 900),
            mounted("/dev/sda1", "/data", 2000),
        ];
        assert_eq!(mounts(&real(table)), ["/", "/data"]);
    }

    #[test]
    fn boot_partitions_sticks_and_read_only_images_are_no_disks() {
        let table = vec![
            mounted("/dev/nvme0n1p1", "/boot/efi", 1),
            Mounted { removable: true, ..mounted("/dev/sdb1", "/media/stick", 64) },
            Mounted { read_only: true, ..mounted("/dev/loop3", "/snap/core", 8) },
            mounted("/dev/nvme0n1p2", "/", 900),
        ];
        assert_eq!(mounts(&real(table)), ["/"]);
    }

    #[test]
    fn what_a_program_mounts_from_elsewhere_is_no_disk_and_a_windows_disk_is() {
        let of_kind =
            |kind: &str, mount| Mounted { file_system: kind.to_owned(), ..mounted(mount, mount, 900) };
        let table = ["fuse.sshfs", "fuse.rclone", "fuse", "fuseblk"].map(|kind| of_kind(kind, kind));

        assert_eq!(mounts(&real(table.into())), ["fuseblk"]);
    }

    #[test]
    fn this_machine_says_what_it_is() {
        assert!(cpu().threads > 0);
        assert!(memory().0 > 1 << 28);
        let os = os();
        assert_eq!(os.family, std::env::consts::OS);
        assert!(!os.kernel.is_empty());
        let disks = disks();
        assert!(disks.iter().all(|disk| disk.free <= disk.total), "{disks:?}");
    }
}
