//! Secrets that are known by their own form.
//!
//! Each row says which literal text every such secret has, and its pattern. The forms are facts that the services document; the list
//! was checked against the rules of gitleaks (<https://github.com/gitleaks/gitleaks>, `config/gitleaks.toml`, MIT licence), from which
//! the prefixes and lengths of many rows come. A form with a length that a service may change has a lower bound only.

use super::judge::Judge;
use super::rules::{Rule, Trigger};

/// Any of these texts, in exactly this case; the pattern; how a match is judged.
type Row = (&'static [&'static str], &'static str, Judge);

const ANY: Judge = Judge::Always;
const DIGIT: Judge = Judge::Digit;

#[rustfmt::skip]
const FORMS: &[Row] = &[
    // The services that Olog itself calls.
    (&[":A"], r"(?-u:\b)(?:bot)?[0-9]{6,12}:A[A-Za-z0-9_-]{29,49}", ANY), // Telegram
    (&["hooks.slack.com"], r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]+", ANY),
    (&["webhook.office.com"], r"webhook\.office\.com/webhookb2/[A-Za-z0-9@/_-]+", ANY),
    (&["AT_", "UID_", "SPT_"], r"(?-u:\b)(?:AT|UID|SPT)_[A-Za-z0-9]{8,}", Judge::NotAConstant), // WxPusher
    (&["SCT", "SCU", "sctp"], r"(?-u:\b)(?:SC[TU][0-9]{1,8}[TU]|sctp[0-9]{1,8}t)[A-Za-z0-9]{10,64}", ANY), // ServerChan
    (&["tk_"], r"(?-u:\b)tk_[a-z0-9]{29}(?-u:\b)", ANY), // ntfy
    (&["xox", "xapp-"], r"(?-u:\b)(?:xox[a-z]|xapp)[.-][A-Za-z0-9.-]{10,}", ANY), // Slack
    // Cloud services.
    (&["AKIA", "ASIA", "ABIA", "ACCA", "A3T"], r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?-u:\b)", ANY), // AWS
    (&["LTAI", "AKID"], r"(?-u:\b)(?:LTAI|AKID)[A-Za-z0-9]{12,48}", ANY), // Alibaba Cloud, Tencent Cloud
    (&["AIza"], r"(?-u:\b)AIza[A-Za-z0-9_-]{20,}", ANY), // Google
    (&["GOCSPX-", "ya29."], r"(?-u:\b)(?:GOCSPX-|ya29\.)[A-Za-z0-9_=-]{20,}", ANY),
    (&["Q~"], r"(?-u:\b)[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", ANY), // Azure
    (&["dop_v1_", "doo_v1_", "dor_v1_"], r"(?-u:\b)do[opr]_v1_[0-9a-f]{32,64}", ANY), // DigitalOcean
    (&["v1.0-"], r"(?-u:\b)v1\.0-[a-f0-9]{24}-[a-f0-9]{100,146}", ANY), // Cloudflare
    (&["HRKU-"], r"(?-u:\b)HRKU-[A-Za-z0-9_-]{30,80}", ANY), // Heroku
    (&["fo1_", "fm1", "fm2_"], r"(?-u:\b)(?:fo1_|fm1[ar]_|fm2_)[A-Za-z0-9+/_=-]{40,}", ANY), // Fly
    (&["AQVN", "YCA", "YCM"], r"(?-u:\b)(?:AQVN[A-Za-z0-9_-]{35,38}|YC[AM][A-Za-z0-9_-]{37})(?-u:\b)", DIGIT), // Yandex
    (&["tskey-"], r"(?-u:\b)tskey-[a-z]+-[A-Za-z0-9-]{16,}", ANY), // Tailscale
    (&["hvs.", "hvb.", "hvr."], r"(?-u:\b)hv[sbr]\.[A-Za-z0-9_=-]{20,}", ANY), // Vault
    (&[".atlasv1."], r"(?-u:\b)[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,80}", ANY), // Terraform
    (&["pul-"], r"(?-u:\b)pul-[a-f0-9]{40}", ANY), // Pulumi
    (&["dp."], r"(?-u:\b)dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,60}", ANY), // Doppler
    (&["ops_eyJ"], r"(?-u:\b)ops_eyJ[A-Za-z0-9+/=_-]{40,}", ANY), // 1Password
    (&["A3-"], r"(?-u:\b)A3-[A-Z0-9]{6}-[A-Z0-9]{6,11}(?:-[A-Z0-9]{5}){3,4}", ANY),
    (&["pscale_"], r"(?-u:\b)pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_=.-]{32,64}", ANY), // PlanetScale
    (&["dapi"], r"(?-u:\b)dapi[0-9a-f]{32}", ANY), // Databricks
    (&["sha256~"], r"(?-u:\b)sha256~[A-Za-z0-9_-]{43}", ANY), // OpenShift
    (&["4b1d"], r"(?-u:\b)4b1d[A-Za-z0-9]{38}(?-u:\b)", ANY), // ClickHouse
    // Code, packages, builds.
    (&["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"], r"(?-u:\b)(?:gh[pousr]_|github_pat_)[A-Za-z0-9_.-]{16,}", ANY),
    (&["glpat", "gldt", "glrt", "glcbt", "glptt", "glft", "glsoat", "glimt", "glagent", "gloas", "glffct", "glsa"],
        r"(?-u:\b)gl(?:pat|dt|rtr?|cbt|ptt|ft|soat|imt|agent|oas|ffct|sa)[-_][A-Za-z0-9_.-]{16,}", DIGIT), // GitLab, Grafana
    (&["glc_"], r"(?-u:\b)glc_[A-Za-z0-9+/=]{32,400}", ANY), // Grafana
    (&["dckr_"], r"(?-u:\b)dckr_(?:pat|oat)_[A-Za-z0-9_.-]{16,}", ANY),
    (&["pypi-"], r"(?-u:\b)pypi-[A-Za-z0-9_-]{20,}", Judge::Mixed),
    (&["npm_"], r"(?-u:\b)npm_[A-Za-z0-9]{36}", ANY),
    (&["rubygems_"], r"(?-u:\b)rubygems_[0-9a-f]{48}", ANY),
    (&["CLOJARS_"], r"(?-u:\b)CLOJARS_[A-Za-z0-9]{60}", ANY),
    (&["AKCp", "cmVmd"], r"(?-u:\b)(?:AKCp[A-Za-z0-9]{69}|cmVmd[A-Za-z0-9]{59})(?-u:\b)", ANY), // Artifactory
    (&["ATATT3", "ATCTT3", "ATBB"], r"(?-u:\b)(?:AT[AC]TT3|ATBB)[A-Za-z0-9_=-]{20,}", ANY), // Atlassian
    (&["sntrys_", "sntryu_"], r"(?-u:\b)sntry[su]_[A-Za-z0-9+/=_-]{40,}", ANY), // Sentry
    (&["sgp_"], r"(?-u:\b)sgp_[A-Za-z0-9_]{40,60}", ANY), // Sourcegraph
    (&["bkua_", "CCIPAT_", "CCIPRJ_", "nfp_", "sbp_"], r"(?-u:\b)(?:bkua|CCIPAT|CCIPRJ|nfp|sbp)_[A-Za-z0-9_]{36,}", DIGIT),
    (&["NRAK-", "NRII-", "NRJS-"], r"(?-u:\b)NR(?:AK|II|JS)-[A-Za-z0-9-]{19,32}", ANY), // New Relic
    (&["dt0c01."], r"(?-u:\b)dt0c01\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}", ANY), // Dynatrace
    (&["API-"], r"(?-u:\b)API-[A-Z0-9]{26}(?-u:\b)", DIGIT), // Octopus Deploy
    (&["pnu_", "rdme_", "lin_api_", "PMAK-", "tk-us-", "ntn_"],
        r"(?-u:\b)(?:pnu_|rdme_|lin_api_|PMAK-|tk-us-|ntn_)[A-Za-z0-9_-]{36,}", DIGIT), // Prefect, ReadMe, Linear, Postman, Scalingo, Notion
    (&["_mmk"], r"(?-u:\b)[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk", ANY), // MaxMind
    (&["figd_", "fio-u-"], r"(?-u:\b)(?:figd_|fio-u-)[A-Za-z0-9_=-]{32,}", DIGIT), // Figma, Frame.io
    // Language models.
    (&["sk-", "sk_", "rk_"], r"(?-u:\b)(?:sk-|[sr]k_(?:live|test|prod)_)[A-Za-z0-9_-]{20,}", DIGIT), // OpenAI and others, Stripe
    (&["hf_", "api_org_"], r"(?-u:\b)(?:hf|api_org)_[A-Za-z0-9]{20,64}", ANY), // Hugging Face
    (&["pplx-", "gsk_", "xai-", "r8_"], r"(?-u:\b)(?:pplx-|gsk_|xai-|r8_)[A-Za-z0-9]{36,}", ANY),
    // Money, mail, messages.
    (&["whsec_"], r"(?-u:\b)whsec_[A-Za-z0-9+/=]{16,}", ANY),
    (&["SG."], r"(?-u:\b)SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}", ANY), // SendGrid
    (&["SK"], r"(?-u:\b)SK[0-9a-f]{32}(?-u:\b)", ANY), // Twilio
    (&["xkeysib-", "xsmtpsib-"], r"(?-u:\b)x(?:key|smtp)sib-[a-f0-9]{40,}-[A-Za-z0-9]{16}", ANY), // Brevo
    (&["shp"], r"(?-u:\b)shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}", ANY), // Shopify
    (&["sq0"], r"(?-u:\b)sq0(?:atp|csp)-[A-Za-z0-9_-]{22,60}", ANY), // Square
    (&["shippo_", "duffel_"], r"(?-u:\b)(?:shippo|duffel)_(?:live|test)_[A-Za-z0-9_=-]{40,}", ANY),
    (&["EZAK", "EZTK"], r"(?-u:\b)EZ[AT]K[A-Za-z0-9]{54}(?-u:\b)", ANY), // EasyPost
    (&["EAA"], r"(?-u:\b)EAA[MC][A-Za-z0-9]{100,}", ANY), // Facebook
    (&["FLWSECK"], r"FLWSECK(?:_TEST)?-[A-Za-z0-9]{12,40}", ANY), // Flutterwave
    (&["p8e-"], r"(?-u:\b)p8e-[A-Za-z0-9]{32}(?-u:\b)", ANY), // Adobe
    (&["key-"], r"(?-u:\b)key-[0-9a-f]{32}(?-u:\b)", ANY), // Mailgun
    // Of no one service.
    (&["eyJ"], r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,1024}\.[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*", ANY), // JSON web tokens
    (&["AGE-SECRET-KEY-"], r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{20,}", ANY),
    (&["$1$", "$2", "$5$", "$6$", "$7$", "$y$", "$gy$", "$apr1$", "$argon2", "$scrypt$"],
        r"\$(?:1|2[abxy]|5|6|7|y|gy|apr1|scrypt|argon2(?:id|i|d))\$[A-Za-z0-9./$=,+_-]{8,}", ANY), // /etc/shadow, htpasswd
    (&["{S", "{s"], r"\{(?i-u:S?SHA(?:256|512)?)\}[A-Za-z0-9+/=]{20,128}", ANY), // LDAP
];

pub(super) fn rules() -> impl Iterator<Item = Rule> {
    let forms = FORMS.iter().map(|(words, pattern, judge)| {
        Rule::of_form(Trigger::Words(words.iter().map(|word| (*word).to_owned()).collect()), pattern, *judge)
    });
    // Discord: an id, a time and a signature, without a word of their own.
    let discord = r"(?-u:\b)[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}";
    forms.chain([Rule::of_form(Trigger::Shape(has_three_parts), discord, ANY)])
}

/// Is there a part of six characters between two dots, and longer ones beside it?
fn has_three_parts(text: &str) -> bool {
    let parts = |line: &str| {
        let lengths: Vec<usize> = line
            .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'))
            .flat_map(|word| word.split('.').map(str::len).chain([0]))
            .collect();
        lengths.windows(3).any(|part| matches!(part, [before, 6, after] if *before >= 24 && *after >= 27))
    };
    text.lines().any(parts)
}
