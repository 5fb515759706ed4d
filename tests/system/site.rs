//! The network that machines of a test share: a bridge with its own address, and a phone that listens there.
//!
//! A site has a number, which is locked while the site exists, and everything that belongs to it carries that number: the bridge, the addresses, the
//! folders and control groups of its machines. So tests in several working copies do not meet. Whoever locks a number first removes what a killed
//! run has left behind.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::{Phone, Push, daemon::run};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::machine::{self, Machine};

/// How many machines may run at the same time, over all tests. A test with more machines runs alone.
const MACHINES_MAX: u32 = 2;
static ROOM: Semaphore = Semaphore::const_new(MACHINES_MAX as usize);
/// How many sites one host may have, over all working copies.
const SITES: u8 = 32;

/// A switch, and the user's phone.
#[derive(Debug)]
pub(crate) struct Site {
    /// The user's phone, which the machines can reach.
    pub(crate) phone: Phone,
    number: u8,
    folder: PathBuf,
    _room: SemaphorePermit<'static>,
    _lock: File,
}

impl Site {
    /// With room for this many machines.
    pub(crate) async fn with_room_for(machines: u32) -> Site {
        let room = ROOM.acquire_many(machines.min(MACHINES_MAX)).await.unwrap();
        let (number, lock) = (0..SITES).find_map(|n| Some((n, take(n)?))).expect("a number that no other run has");
        let rootfs = PathBuf::from(std::env::var_os("OLOG_ROOTFS").expect("cargo xtask test gives OLOG_ROOTFS"));
        let folder = rootfs.parent().unwrap().join("machines").join(number.to_string());
        clear(number, &folder);
        fs::create_dir_all(&folder).unwrap();
        let (bridge, host) = (bridge(number), host(number));
        ip(&["link", "add", "name", &bridge, "type", "bridge"]);
        ip(&["address", "add", &format!("{host}/24"), "dev", &bridge]);
        ip(&["link", "set", &bridge, "up"]);
        Site { phone: Phone::start_on(host.into()).await.unwrap(), number, folder, _room: room, _lock: lock }
    }

    /// For one machine.
    pub(crate) async fn new() -> Site {
        Site::with_room_for(1).await
    }

    /// A machine that has booted, as bare as `debootstrap` left it. Its name is its host name: the first 8 letters differ from those of the others.
    pub(crate) fn boot(&self, name: &str) -> Machine {
        Machine::boot(self, name)
    }

    /// The first push whose card or page holds `text`.
    pub(crate) async fn push(&self, text: &str) -> Push {
        let holds = |push: &Push| push.summary.contains(text) || push.text().contains(text);
        let pushes = self.phone.wait(&format!("a push with {text:?}"), |pushes| pushes.iter().any(holds)).await;
        pushes.into_iter().find(holds).unwrap()
    }

    /// How many pushes hold `text` so far.
    pub(crate) fn n_pushes(&self, text: &str) -> usize {
        self.phone.pushes().iter().filter(|push| push.summary.contains(text) || push.text().contains(text)).count()
    }

    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn bridge(&self) -> String {
        bridge(self.number)
    }

    /// The `n`th address beside the host's.
    pub(crate) fn address(&self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, n)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        clear(self.number, &self.folder);
    }
}

fn bridge(number: u8) -> String {
    format!("olog-sys{number}")
}

fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, number, 1)
}

/// The lock of a number; `None` if it is taken.
fn take(number: u8) -> Option<File> {
    let file = File::create(format!("/run/lock/olog-system-{number}")).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

/// Removes everything that carries this number; the holder of the lock does it before and after a test.
fn clear(number: u8, folder: &Path) {
    machine::end(number, "");
    run(Command::new("ip").args(["link", "delete", &bridge(number)]));
    fs::remove_dir_all(folder).ok();
}

/// `ip …` on the host.
#[track_caller]
pub(crate) fn ip(args: &[&str]) {
    run(Command::new("ip").args(args)).good();
}
