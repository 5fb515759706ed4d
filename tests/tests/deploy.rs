//! The files of `deploy/`, which users copy, and programs of others that report to a hub.

mod alerts;
mod monitoring;
mod pings;
mod playbooks;
mod proxies;
mod stream;
