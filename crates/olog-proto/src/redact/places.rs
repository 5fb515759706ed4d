//! Secrets that are known by what stands before them.

use super::judge::Judge;
use super::rules::Rule;

/// Names of a secret, in a configuration, an environment, JSON or a header.
const NAMES: &str = "pass(?:word|wd|phrase|code)|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key|access[_-]?key|account[_-]?key|auth[_-]?key|\
    private[_-]?key|pre[_-]?shared[_-]?key|encryption[_-]?key|signing[_-]?key|subscription[_-]?key|send[_-]?key|push[_-]?key|device[_-]?key|\
    x-[a-z0-9-]+-key|wpa[_-]psk|(?-u:\\b)psk|[a-z0-9]+[_-]token|(?:access|refresh|auth|session|id)token";
const CHINESE_NAMES: &str = "密码|口令|密钥|秘钥|私钥|令牌|验证码|授权码|提取码";
/// What stands between a name and its value: the name may be quoted, in escaped JSON too.
const SEPARATOR: &str = "\\\\*[\"']?[ \\t]*(?:=>|:=|[:=：＝])[ \\t]*";
/// A value in quotes, in escaped quotes, or to the next blank, quote, comma or bracket.
const VALUE: &str = "\\\\+\"[^\"\\\\\\n]*|\"[^\"\\n]*\"?|'[^'\\n]*'?|[^\\s\"',;)，。；）、]+";
/// A value on a command line.
const ARGUMENT: &str = "\"[^\"\\n]*\"?|'[^'\\n]*'?|[^\\s\"'|]+";
/// A value in a URL.
const PARAMETER: &str = "[^\\s&\"'<>#]+";

/// All places.
pub(super) fn rules() -> impl Iterator<Item = Rule> {
    urls().into_iter().chain(headers()).chain(command_lines()).chain(markup()).chain(names())
}

fn urls() -> Vec<Rule> {
    let place = Rule::of_place;
    vec![
        // postgres://bob:hun/ter2@db, and a token in the place of the user's name.
        place(&["://"], Judge::OfUrl, "(?-u:\\b)[A-Za-z][A-Za-z0-9+.-]+://[!-~&&[^/:@\"'<>]]*:", "[!-~&&[^\"'<>]]+@"),
        place(&["://"], Judge::Random, "(?-u:\\b)[A-Za-z][A-Za-z0-9+.-]+://", "[A-Za-z0-9_.~-]{20,}@"),
        // The services that Olog itself calls, its own enrolment links and the pages of its reports.
        place(
            &["discord"],
            Judge::Always,
            "discord(?:app)?\\.com/api/(?:v[0-9]{1,2}/)?webhooks/",
            "[0-9]+/[A-Za-z0-9_-]+",
        ),
        place(
            &["feishu", "larksuite"],
            Judge::Always,
            "(?:feishu\\.cn|larksuite\\.com)/(?:open-apis/bot/(?:v[0-9]/)?hook|flow/api/trigger-webhook)/",
            "[A-Za-z0-9_-]+",
        ),
        place(
            &["day.app/", "bark"],
            Judge::Long,
            "(?:day\\.app|//[a-z0-9.-]*bark[a-z0-9.-]*(?::[0-9]+)?)/",
            "[A-Za-z0-9]+",
        ),
        place(&["pushplus"], Judge::Long, "pushplus\\.(?:plus|hxtrip\\.com)/send/", "[A-Za-z0-9]+"),
        place(&["ntfy.sh/"], Judge::Always, "(?-u:\\b)ntfy\\.sh/", "[A-Za-z0-9_-]+"),
        place(&["/join#"], Judge::Long, "/join#", "[A-Za-z0-9._~-]+"),
        place(&["/olog-"], Judge::Long, "/olog-", "[0-9a-f]{16,}"),
        place(&["hc-ping.com/"], Judge::Always, "hc-ping\\.com/", "[A-Za-z0-9_-]{16,}(?:/[A-Za-z0-9_-]+)?"),
        place(
            &["/hook", "/with/key/"],
            Judge::Random,
            "/(?:hooks?(?:/catch)?/(?:[A-Za-z0-9]+/)?|with/key/)",
            "[A-Za-z0-9_-]{16,}",
        ),
        // Parameters.
        place(&["key=", "code=", "auth="], Judge::Long, "[?&](?i-u:key|code|auth)=", PARAMETER),
        place(
            &[
                "token=",
                "key=",
                "keyid=",
                "sign=",
                "sig=",
                "signature=",
                "secret=",
                "password=",
                "passwd=",
                "pwd=",
                "credential=",
            ],
            Judge::Always,
            "[?&](?i-u:token|access_token|auth_token|private_token|api_?key|sendkey|pushkey|sign|sig|signature|secret|client_secret|password|passwd|\
            pwd|x-[a-z]+-(?:signature|credential|security-token)|q-signature|security-token|ossaccesskeyid|awsaccesskeyid)=",
            PARAMETER,
        ),
    ]
}

fn headers() -> Vec<Rule> {
    let place = Rule::of_place;
    vec![
        place(
            &["authorization"],
            Judge::NotAWord,
            "(?i-u:(?:proxy-)?authorization)[\"']?[ \\t]*[:=][ \\t]*[\"']?(?:(?i-u:bearer|basic|token|digest|apikey|negotiate)[ \\t]+)?",
            "[!-~]+",
        ),
        place(&["bearer"], Judge::Random, "(?-u:\\b)(?i-u:bearer)[ \\t]+", "[A-Za-z0-9._~+/=-]{8,}"),
        place(
            &["cookie"],
            Judge::Always,
            "(?i-u:(?:set-)?cookie)[\"']?[ \\t]*[:=][ \\t]*[\"']?[A-Za-z0-9_.%-]+=",
            "[^\\n\"']+",
        ),
        place(
            &["signature"],
            Judge::Always,
            "(?i-u:signature(?:-256)?)(?:=|:[ \\t]*(?:sha[0-9]+=)?)",
            "[A-Za-z0-9%+/=_-]{20,}",
        ),
    ]
}

fn command_lines() -> Vec<Rule> {
    let place = Rule::of_place;
    let tool = |names: &str, option: &str| format!("(?-u:\\b)(?:{names})(?-u:\\b)[ -~&&[^|]]*?[ \\t]{option}");
    vec![
        place(
            &["password", "passwd", "passphrase", "token", "secret", "api-key", "access-key"],
            Judge::NotAWord,
            "--(?i-u:[a-z0-9-]*(?:password|passwd|passphrase|token|secret|api-key|access-key))[ \\t=]+",
            ARGUMENT,
        ),
        place(
            &["mysql", "mariadb", "7z"],
            Judge::Always,
            &tool("mysql(?:dump|admin|import|check|sh|slap|pump)?|mariadb(?:-[a-z]+)?|7z[ar]?", "-p"),
            "[!-~&&[^:;,-]][!-~]*",
        ),
        place(
            &["login", "mongo"],
            Judge::NotAWord,
            &tool(
                "(?:docker|podman|helm registry|oc|az|nerdctl|buildah) login|mongo(?:sh|dump|restore|export|import)?",
                "-p[ \\t]+",
            ),
            ARGUMENT,
        ),
        place(
            &["mosquitto_", "ipmitool", "zip", "sqlcmd", "bcp"],
            Judge::NotAWord,
            &tool("mosquitto_(?:pub|sub|rr)|ipmitool|(?:un)?zip|sqlcmd|bcp", "-P[ \\t]*"),
            ARGUMENT,
        ),
        place(&["sshpass"], Judge::Always, "(?-u:\\b)sshpass[ \\t]+-p[ \\t]*", ARGUMENT),
        place(&["rdp"], Judge::Always, &tool("[xwn]?l?freerdp3?|rdesktop", "(?:/p:|-p[ \\t]*)"), ARGUMENT),
        place(
            &["curl", "wget"],
            Judge::Always,
            &tool("curl|wget", "(?:-u|-U|--user|--proxy-user)[ \\t=]*[\"']?[!-~&&[^:\"'/]]+:"),
            "[^\\s\"']+",
        ),
        place(&["redis-cli", "valkey-cli"], Judge::NotAWord, &tool("redis-cli|valkey-cli", "-a[ \\t]+"), ARGUMENT),
        place(&["ldap"], Judge::Always, &tool("ldap(?:search|modify|add|delete|whoami|passwd)", "-w[ \\t]+"), ARGUMENT),
        place(
            &["smbclient", "rpcclient", "net "],
            Judge::Always,
            &tool("smbclient|rpcclient|net", "-U[ \\t]+[!-~&&[^%]]+%"),
            "[^\\s\"']+",
        ),
        place(
            &["sqlplus", "impdp", "expdp"],
            Judge::Always,
            "(?-u:\\b)(?:sqlplus|impdp|expdp)[ \\t]+(?:-[A-Za-z]+[ \\t]+)*[A-Za-z0-9_]+/",
            "[!-~&&[^@]]+",
        ),
        place(
            &["htpasswd"],
            Judge::Always,
            "(?-u:\\b)htpasswd[ \\t]+-[A-Za-z]*b[A-Za-z]*[ \\t]+[!-~]+[ \\t]+[!-~]+[ \\t]+",
            ARGUMENT,
        ),
        place(&[" -pass", "\t-pass"], Judge::NotAWord, "[ \\t]-pass(?:in|out)?[ \\t]+(?:pass:)?", ARGUMENT),
        place(&["login"], Judge::Always, "(?-u:\\b)login[ \\t]+[!-~]+[ \\t]+password[ \\t]+", "[!-~]+"),
        // A line of netrc, and one of pgpass.
        place(&["password"], Judge::Random, "(?m-u:^)[ \\t]*password[ \\t]+", "[!-~]{6,}(?m-u:$)"),
        place(
            &[":5432:", ":*:"],
            Judge::Always,
            "(?m-u:^)[A-Za-z0-9_.*/-]+:(?:[0-9]{2,5}|\\*):[!-~&&[^:]]+:[!-~&&[^:]]+:",
            "[!-~]+",
        ),
        place(
            &["sudo"],
            Judge::Always,
            "(?-u:\\b)echo[ \\t]+",
            "(?:\"[^\"\\n]+\"|'[^'\\n]+'|[!-~&&[^|]]+)[ \\t]*\\|[ \\t]*sudo[ \\t]+(?:-[A-Za-z]+[ \\t]+)*-S",
        ),
        place(
            &["chpasswd"],
            Judge::Always,
            "(?-u:\\b)echo[ \\t]+[\"']?[A-Za-z0-9_.-]+:",
            "[!-~&&[^|\"']]+[\"']?[ \\t]*\\|[ \\t]*(?:sudo[ \\t]+)?chpasswd",
        ),
    ]
}

/// SQL, XML and JSON.
fn markup() -> Vec<Rule> {
    let place = Rule::of_place;
    vec![
        place(
            &["identified"],
            Judge::Always,
            "(?i-u:identified[ \\t]+(?:with[ \\t]+[!-~]+[ \\t]+)?(?:by|as)(?:[ \\t]+password)?)[ \\t]*",
            "\"[^\"\\n]*\"?|'[^'\\n]*'?",
        ),
        place(
            &["password"],
            Judge::NotAWord,
            "(?i-u:password(?:[ \\t]+for[ \\t]+[!-~]+)?)[ \\t=(]+",
            "\"[^\"\\n]*\"?|'[^'\\n]*'?",
        ),
        place(
            &["password", "passwd", "pwd", "secret", "token", "apikey", "api-key"],
            Judge::NotAWord,
            "<(?i-u:(?:[a-z0-9]+:)?(?:password|passwd|pwd|secret|token|api-?key))(?:[ \\t][^<>\\n]*)?>",
            "[^<\\n]+",
        ),
        place(
            &["<add key="],
            Judge::NotAWord,
            "(?i-u:<add[ \\t]+key=\"[a-z0-9_.:-]*(?:password|secret|token|key)\"[ \\t]+value=\")",
            "[^\"\\n]+",
        ),
        place(
            &["\"name\"", "\\\"name\\\""],
            Judge::NotAWord,
            "\"name\\\\*\"[ \\t]*:[ \\t]*\\\\*\"(?i-u:[a-z0-9_.-]*(?:password|passwd|secret|token|api_?key))\\\\*\"[ \\t]*,[ \\t]*\\\\*\"value\\\\*\"[ \\t]*:[ \\t]*\\\\*\"",
            "[^\"\\\\\\n]+",
        ),
        place(
            &["auth", "identitytoken"],
            Judge::Always,
            "\\\\*\"(?:auth|identitytoken)\\\\*\"[ \\t]*:[ \\t]*\\\\*\"",
            "[A-Za-z0-9+/=._-]{8,}",
        ),
    ]
}

fn names() -> Vec<Rule> {
    let place = Rule::of_place;
    let chinese: Vec<&str> = CHINESE_NAMES.split('|').collect();
    vec![
        place(
            &["pass", "pwd", "secret", "key", "psk", "token"],
            Judge::NotAWord,
            &format!("(?i-u:{NAMES}){SEPARATOR}"),
            VALUE,
        ),
        place(&chinese, Judge::NotAWord, &format!("(?:{CHINESE_NAMES})[ \\t\"'”]*(?:[:=：＝]|是|为)[ \\t]*"), VALUE),
        place(&["passphrase"], Judge::Phrase, "(?i-u:passphrase)[ \\t]*[:=][ \\t]*", "[!-~&&[^\"']][^\\n]*"),
        place(
            &["token", "pass"],
            Judge::NotAWord,
            "(?i-u:token|\\bpass|_pass)(?:[\"']?=|\\\\*[\"'][ \\t]*(?::|=>)[ \\t]*)",
            VALUE,
        ),
        place(&["token", "pass"], Judge::Random, "(?i-u:token|\\bpass|_pass)[ \\t]*(?:=|:)[ \\t]+", VALUE),
    ]
}
