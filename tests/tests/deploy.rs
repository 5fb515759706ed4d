//! The files of `deploy/`, which users copy.

mod monitoring;
mod playbooks;
mod proxies;
