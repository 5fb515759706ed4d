//! Says once how types of other crates look in the description of the API, so that each field need not say it.

fn main() {
    utoipa_config::Config::new()
        .alias_for("Timestamp", "i64")
        .alias_for("PublicKey", "String")
        .alias_for("AccessScope", "String")
        .alias_for("Author", "serde_json::Value")
        .alias_for("Kind", "String")
        .write_to_file();
}
