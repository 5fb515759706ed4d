//! A Debian that has booted with its own systemd, as a user's machine does: a container of `systemd-nspawn` on the bridge of its [`Site`].
//!
//! Commands run in it beside its own services. Files are read through `/proc/LEADER/root`, so that the container's own mounts apply. The machine is
//! removed when this value is dropped; if the test failed, its journal and console stay in `target/system/failed/`.
//!
//! On a host without a service manager nothing else keeps the machines apart: each gets its own control group, or the second systemd would use the
//! first one's. `--keep-unit` makes a reboot end the container instead of starting it again.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use olog_journeys::daemon::{Said, run, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::site::{Site, ip};

/// How many seconds a single command may take, so that a hanging command fails the test.
const LIMIT: &str = "120";
/// The exit code of systemd-nspawn when its machine asks for a reboot.
const REBOOT: i32 = 133;

/// A machine; powered off and removed with this value.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Its host name.
    pub(crate) name: String,
    /// Its address on the bridge.
    pub(crate) address: Ipv4Addr,
    site: u8,
    bridge: String,
    root: PathBuf,
    console: PathBuf,
    nspawn: Child,
    leader: u32,
}

/// The name of a machine of this site, as systemd-nspawn and `ip link` know it: the name of a network link has room for 15 letters.
pub(crate) fn name(site: u8, name: &str) -> String {
    format!("ol{site}-{name:.8}")
}

/// The host's end of its network cable.
fn link(full_name: &str) -> String {
    format!("vb-{full_name}")
}

impl Machine {
    pub(crate) fn boot(site: &Site, name: &str) -> Machine {
        let root = site.folder().join(name);
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"]).arg(std::env::var_os("OLOG_ROOTFS").unwrap()).arg(&root);
        run(&mut copy).good();
        let n = u8::try_from(fs::read_dir(site.folder()).unwrap().count()).unwrap();
        let (address, host) = (site.address(10 + n), site.address(1));
        // Before `80-container-host0.network`, which waits for DHCP.
        let network =
            format!("[Match]\nName=host0\n[Network]\nAddress={address}/24\nGateway={host}\nIPv6AcceptRA=no\n");
        fs::write(root.join("etc/systemd/network/10-olog.network"), network).unwrap();
        fs::write(root.join("etc/hostname"), format!("{name}\n")).unwrap();
        fs::write(root.join("etc/hosts"), format!("127.0.0.1 localhost {name}\n::1 localhost\n")).unwrap();
        fs::write(root.join("etc/machine-id"), format!("{}\n", machine_id())).unwrap();
        let console = site.folder().join(format!("{name}.console"));
        let (bridge, site) = (site.bridge(), site.number());
        let nspawn = spawn(&self::name(site, name), &bridge, &root, &console);
        let name = name.to_owned();
        let mut machine = Machine { name, address, site, bridge, root, console, nspawn, leader: 0 };
        machine.wait_booted();
        machine
    }

    fn wait_booted(&mut self) {
        let console = self.console.clone();
        self.leader = 0;
        self.leader = wait_for(
            &format!("{} has booted", self.name),
            || fs::read_to_string(&console).unwrap_or_default(),
            || {
                assert!(self.nspawn.try_wait().unwrap().is_none(), "{} ended while it booted", self.name);
                let leader = child_of(self.nspawn.id())?;
                let state = run(entered(leader).args(["systemctl", "is-system-running"])).out;
                ["running", "degraded"].contains(&state.trim()).then_some(leader)
            },
        );
    }

    /// `sh -c LINE` as root.
    pub(crate) fn sh(&self, line: &str) -> Said {
        run(entered(self.leader).args(["sh", "-c", line]))
    }

    /// `sh -c LINE` as this user.
    pub(crate) fn sh_as(&self, user: &str, line: &str) -> Said {
        run(entered(self.leader).args(["runuser", "-u", user, "--", "sh", "-c", line]))
    }

    /// `sh -c LINE` as root, which has to succeed; returns its output.
    #[track_caller]
    pub(crate) fn good(&self, line: &str) -> String {
        let Said { status, out, err } = self.sh(line);
        assert!(status.success(), "{}# {line}\nended with {:?}:\n{out}{err}", self.name, status.code());
        out
    }

    /// A path of the machine, from here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.leader.to_string()).join("root").join(path.trim_start_matches('/'))
    }

    /// A path on its disk, without the file systems mounted over it.
    pub(crate) fn disk(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Writes a file as root does, with its folders.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(!path.is_symlink(), "{}: an absolute link would lead out of the machine", path.display());
        fs::write(path, text).unwrap();
    }

    /// Reads a file.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A property of a unit, as `systemctl show` has it.
    pub(crate) fn property(&self, unit: &str, property: &str) -> String {
        self.good(&format!("systemctl show --value --property {property} {unit}")).trim().to_owned()
    }

    /// What a unit has logged, as a person reads it.
    pub(crate) fn log(&self, unit: &str) -> String {
        self.sh(&format!("journalctl --no-pager --output short-precise --unit {unit}")).out
    }

    /// The entries of the journal that match, with all their fields.
    pub(crate) fn journal(&self, matches: &str) -> Vec<Value> {
        let lines = self.good(&format!("journalctl --no-pager --output json {matches}"));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the condition returns a value; else the test fails with `what` and the end of the journal.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, mut condition: impl FnMut(&Machine) -> Option<T>) -> T {
        wait_for(what, || self.last_words(), || condition(self))
    }

    /// Waits until a unit's property is this.
    #[track_caller]
    pub(crate) fn wait_property(&self, unit: &str, property: &str, value: &str) {
        self.wait(&format!("{property} of {unit} is {value}"), |machine| {
            (machine.property(unit, property) == value).then_some(())
        });
    }

    fn last_words(&self) -> String {
        let said = if self.leader == 0 {
            fs::read_to_string(&self.console).unwrap_or_default()
        } else {
            run(entered(self.leader).args(["journalctl", "--no-pager", "--lines=60"])).out
        };
        format!("--- the last words of {} ---\n{said}", self.name)
    }

    /// Shuts down and boots again; `meanwhile` happens while it is off.
    pub(crate) fn reboot(&mut self, meanwhile: impl FnOnce()) {
        self.sh("systemctl reboot");
        let status = wait_for(
            &format!("{} shuts down", self.name),
            || fs::read_to_string(&self.console).unwrap_or_default(),
            || self.nspawn.try_wait().unwrap(),
        );
        assert_eq!(status.code(), Some(REBOOT), "{} was to boot again", self.name);
        meanwhile();
        self.nspawn = spawn(&self::name(self.site, &self.name), &self.bridge, &self.root, &self.console);
        self.wait_booted();
    }

    /// Pulls the plug out of the switch.
    pub(crate) fn unplug(&self) {
        ip(&["link", "set", &link(&self::name(self.site, &self.name)), "down"]);
    }

    /// Puts it back.
    pub(crate) fn plug_in(&self) {
        ip(&["link", "set", &link(&self::name(self.site, &self.name)), "up"]);
    }

    /// As on a host without IPv6; from outside, because a container may not set what its kernel does.
    pub(crate) fn disable_ipv6(&self) {
        let line = "for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $one; done";
        run(Command::new("nsenter").args(["--net", "--target", &self.leader.to_string(), "--", "sh", "-c", line]))
            .good();
    }

    /// Keeps the files that show why the test failed.
    fn keep_evidence(&self) {
        let test = std::thread::current().name().unwrap_or("a test").replace("::", "-");
        let folder = self.root.parent().and_then(|site| site.parent()?.parent()).unwrap().join("failed");
        fs::create_dir_all(&folder).ok();
        let journal = run(entered(self.leader).args(["journalctl", "--no-pager", "--output=short-precise"])).out;
        let stem = folder.join(format!("{test}.{}", self.name));
        fs::write(stem.with_extension(format!("{}.journal", self.name)), &journal).ok();
        fs::copy(&self.console, stem.with_extension(format!("{}.console", self.name))).ok();
        eprintln!("{}\n(all of it: {}.*)", self.last_words(), folder.join(test).display());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_evidence();
        }
        // Nothing on it is needed any more, so it is not shut down in order.
        end(self.site, &self.name);
        self.nspawn.wait().ok();
        fs::remove_dir_all(&self.root).ok();
    }
}

fn spawn(full_name: &str, bridge: &str, root: &Path, console: &Path) -> Child {
    // The kernel needs some time to remove the network device of an earlier machine of this name.
    let link = link(full_name);
    wait_for(&format!("{link} is free"), String::new, || {
        run(Command::new("ip").args(["link", "delete", &link]));
        (!Path::new("/sys/class/net").join(&link).exists()).then_some(())
    });
    let mut line = String::new();
    for group in control_groups() {
        let group = group.join(full_name);
        fs::create_dir_all(&group).unwrap();
        line.push_str(&format!("echo $$ > {}/cgroup.procs && ", group.display()));
    }
    // The machine is killed when the thread of its test ends, however it ends.
    line.push_str("exec setpriv --pdeathsig TERM -- systemd-nspawn \"$@\"");
    let log = File::options().create(true).append(true).open(console).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &line, "sh", "--boot", "--quiet", "--register=no", "--keep-unit", "--console=pipe"]);
    command.args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"]);
    command.arg(format!("--machine={full_name}")).arg(format!("--network-bridge={bridge}"));
    command.arg(format!("--directory={}", root.display()));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// Beside our own, in the hierarchies that a systemd needs.
fn control_groups() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let of_line = |line: &str| {
        let (hierarchy, path) = line.split_once("::").or_else(|| line.split_once(":name=systemd:"))?;
        let mount = match hierarchy {
            "0" if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() => "/sys/fs/cgroup",
            "0" => "/sys/fs/cgroup/unified",
            _ => "/sys/fs/cgroup/systemd",
        };
        Some(Path::new(mount).join(path.trim_start_matches('/')))
    };
    own.lines().filter_map(of_line).collect()
}

/// Ends every machine of this site whose name begins with this, at once: with its first process all others end.
pub(crate) fn end(site: u8, name: &str) {
    let start = self::name(site, name);
    for group in control_groups() {
        for machine in fs::read_dir(group).unwrap().filter_map(Result::ok) {
            if machine.file_name().to_string_lossy().starts_with(&start) {
                let what = format!("{} ends", machine.path().display());
                wait_for(&what, String::new, || remove_group(&machine.path()).then_some(()));
            }
        }
    }
}

/// Kills what is in it and removes it, from the inside out: is it gone?
fn remove_group(group: &Path) -> bool {
    for inner in fs::read_dir(group).into_iter().flatten().filter_map(Result::ok) {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&inner.path());
        }
    }
    let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in inside.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        kill_process(pid, Signal::KILL).ok();
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

/// A command that runs in the machine, with a time limit.
fn entered(leader: u32) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT, "nsenter", "--all", "--target"]).arg(leader.to_string());
    command.args(["--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]);
    command
}

fn child_of(parent: u32) -> Option<u32> {
    let parent = parent.to_string();
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        // The name, in brackets, may hold anything.
        let (_, rest) = stat.rsplit_once(") ")?;
        (rest.split(' ').nth(1) == Some(&parent)).then(|| process.file_name().to_str()?.parse().ok())?
    })
}

fn machine_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().replace('-', "")
}
