//! Has the hub a network of its own? A hub without one hears nobody, and that is not the devices' fault.

use std::{fs, path::Path};

/// True when the machine has network cards and none of them is up. Virtual interfaces say nothing: a bridge is up
/// without a cable, and a container has no card at all.
pub(super) fn is_gone() -> bool {
    cards_are_down(Path::new("/sys/class/net"))
}

fn cards_are_down(interfaces: &Path) -> bool {
    let Ok(entries) = fs::read_dir(interfaces) else { return false };
    let cards: Vec<bool> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|card| card.join("device").exists())
        .map(|card| fs::read_to_string(card.join("operstate")).is_ok_and(|state| state.trim() == "down"))
        .collect();
    !cards.is_empty() && cards.iter().all(|is_down| *is_down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_whose_cards_are_all_down_has_no_network() {
        let folder = tempfile::tempdir().unwrap();
        let interface = |name: &str, is_card: bool, state: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(if is_card { path.join("device") } else { path.clone() }).unwrap();
            fs::write(path.join("operstate"), state).unwrap();
        };
        interface("lo", false, "unknown\n");
        interface("docker0", false, "down\n");
        assert!(!cards_are_down(folder.path()), "a container");
        interface("eth0", true, "down\n");
        interface("docker0", false, "up\n");
        assert!(cards_are_down(folder.path()));
        interface("wlan0", true, "up\n");
        assert!(!cards_are_down(folder.path()));
        assert!(!cards_are_down(&folder.path().join("missing")));
    }
}
