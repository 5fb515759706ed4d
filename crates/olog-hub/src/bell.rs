//! A bell wakes whoever listens, and carries nothing: whoever hears it looks at the store.
//!
//! Rung twice before anybody looked, it has rung once; rung while nobody listens, it is heard by the next look.

use tokio::sync::watch;

/// Rings.
#[derive(Debug, Clone)]
pub struct Bell(watch::Sender<()>);

/// Hears.
#[derive(Debug, Clone)]
pub struct Listener(watch::Receiver<()>);

impl Default for Bell {
    fn default() -> Bell {
        Bell(watch::Sender::new(()))
    }
}

impl Bell {
    /// Wakes all listeners.
    pub fn ring(&self) {
        self.0.send_replace(());
    }

    /// Hears this bell from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Listener {
    /// Returns when the bell has rung since this was last called. For ever asleep when the bell is gone.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
