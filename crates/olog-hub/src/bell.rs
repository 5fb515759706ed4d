//! A wake-up signal without content: whoever hears it reads the database, which alone says what there is to do.
//!
//! Several rings before a listener wakes count as one. A ring while a listener is busy is heard at its next wait. A worker
//! also wakes on a timer, so that a ring that was lost (a crash between commit and ring) delays its work and loses nothing.

use tokio::sync::watch;

/// Rings.
#[derive(Debug, Clone)]
pub struct Bell(watch::Sender<()>);

/// Hears.
#[derive(Debug, Clone)]
pub struct BellListener(watch::Receiver<()>);

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
    pub fn listen(&self) -> BellListener {
        BellListener(self.0.subscribe())
    }
}

impl BellListener {
    /// Returns when the bell has rung since this was last called. For ever asleep when the bell is gone.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
