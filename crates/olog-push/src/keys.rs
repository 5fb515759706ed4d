//! The keys that channels of several types share. Those of one type are beside its code, or in the file that describes it.

use olog_daemon::{config::Key, keys};

/// The keys of every channel.
pub(crate) static CHANNEL: &[Key] = keys! {
    /// The channel's name, unique.
    "name", Text, Wrong("expected a string"), "0.1";
    /// The type of the channel: one of those below, or one of your own.
    "type", Text, Found("required"), "0.1";
    /// Which notifications go there.
    "only", Table, Unset, "0.1";
    /// Of these kinds.
    "only.kinds", Texts, Is("[\"err\", \"msg\", \"lost\", \"back\", \"over\", \"remind\", \"report\", \"system\"]"), "0.1";
    /// Of devices whose name matches one of these patterns.
    "only.devices", Texts, Is("[\"*\"]"), "0.1";
    /// Of tasks whose name matches one of these patterns.
    "only.tasks", Texts, Is("[\"*\"]"), "0.1";
    /// How often it may be called, like `1/s` or `20/min`.
    "rate", Text, Found("as the type has it"), "0.1";
    /// Messages in 24 rolling hours. 0: not bounded. Inside WeChat: 10.
    "per_day", Int(0, u32::MAX as i64), Found("as the type has it"), "0.1";
};

/// The key of every channel that is called by HTTP.
pub(crate) static HTTP: &[Key] = keys! {
    /// A proxy on the way to the service: `http://[USER:PASSWORD@]HOST:PORT`.
    "proxy", Hidden, Found("as the environment says"), "0.1";
};

/// The key of those of them where no other key holds the whole URL.
pub(crate) static HTTP_ADDRESS: &[Key] = keys! {
    /// The service's scheme and host.
    "api_url", Text, Found("the service's"), "0.1";
};
