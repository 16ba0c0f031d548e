//! What the environment says of a hub: address, token, proxy. The names are those of the hubs' own programs.

use std::env;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use vita_hub::{Hub, Options, Patience, Proxy};

/// Which hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Origin {
    /// huggingface.co, or the mirror in HF_ENDPOINT.
    Huggingface,
    /// modelscope.cn, or the address in MODELSCOPE_ENDPOINT.
    Modelscope,
}

impl Origin {
    fn hub(self) -> Hub {
        match self {
            Self::Huggingface => Hub::HuggingFace,
            Self::Modelscope => Hub::ModelScope,
        }
    }
}

/// How to reach a hub, at a given address or at that of the environment.
pub fn options(origin: Origin, endpoint: Option<&str>) -> Options {
    of(origin, endpoint, &|name| env::var(name).ok().filter(|value| !value.trim().is_empty()))
}

fn of(origin: Origin, endpoint: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Options {
    let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
    let from_environment = || match origin {
        Origin::Huggingface => variable("HF_ENDPOINT"),
        Origin::Modelscope => {
            variable("MODELSCOPE_ENDPOINT").or_else(|| Some(format!("https://{}", variable("MODELSCOPE_DOMAIN")?)))
        }
    };
    let endpoint = endpoint.map(str::to_owned).or_else(from_environment);
    let token = match origin {
        Origin::Huggingface => first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(|| kept_token(variable)),
        Origin::Modelscope => variable("MODELSCOPE_API_TOKEN"),
    };
    let is_plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let proxy = match is_plain {
        // In upper case, a request that a web server passes on could set it.
        true => first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
        false => first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
    };
    let except = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let except: Vec<String> = except.split(',').map(|host| host.trim().to_owned()).filter(|h| !h.is_empty()).collect();
    Options {
        hub: origin.hub(),
        endpoint,
        token,
        proxy: proxy.map(|address| Proxy { address, except }),
        user_agent: concat!("vitascope/", env!("CARGO_PKG_VERSION")).to_owned(),
        patience: Patience::default(),
    }
}

/// The token that `hf auth login` keeps, unless it is not to be used unasked.
fn kept_token(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| value != "0") {
        return None;
    }
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let home = || folder("HOME").or_else(|| folder("USERPROFILE"));
    let cache = || folder("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")));
    let own = || folder("HF_HOME").or_else(|| Some(cache()?.join("huggingface")));
    let path = folder("HF_TOKEN_PATH").or_else(|| Some(own()?.join("token")))?;
    fs::read_to_string(path).ok().filter(|token| !token.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for, under which variables, and what comes of it: endpoint, token, proxy.
    type Case<'a> = (Origin, Option<&'a str>, &'a [(&'a str, &'a str)], [Option<&'a str>; 3]);

    #[test]
    fn the_environment_is_read_as_the_hubs_programs_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["token", "cache/huggingface/token", "home/.cache/huggingface/token"] {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), format!("of {name}")).unwrap();
        }
        let (own, cache, home, token) = (path(""), path("cache"), path("home"), path("token"));
        let hf = Origin::Huggingface;
        let cases: &[Case] = &[
            (hf, None, &[], [None, None, None]),
            (hf, None, &[("HF_ENDPOINT", "https://m"), ("HF_TOKEN", "a")], [Some("https://m"), Some("a"), None]),
            (hf, Some("https://n"), &[("HF_ENDPOINT", "https://m")], [Some("https://n"), None, None]),
            (hf, None, &[("HUGGING_FACE_HUB_TOKEN", "b"), ("HF_HOME", &own)], [None, Some("b"), None]),
            (hf, None, &[("HF_HOME", &own), ("HOME", &home)], [None, Some("of token"), None]),
            (hf, None, &[("HF_HOME", &own), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], [None, None, None]),
            (hf, None, &[("XDG_CACHE_HOME", &cache)], [None, Some("of cache/huggingface/token"), None]),
            (hf, None, &[("HOME", &home)], [None, Some("of home/.cache/huggingface/token"), None]),
            (hf, None, &[("HF_TOKEN_PATH", &token), ("HOME", &home)], [None, Some("of token"), None]),
            (
                hf,
                None,
                &[("HTTPS_PROXY", "http://p:1"), ("http_proxy", "http://q:1")],
                [None, None, Some("http://p:1")],
            ),
            (hf, Some("http://h"), &[("HTTPS_PROXY", "http://p:1")], [Some("http://h"), None, None]),
            (hf, Some("http://h"), &[("http_proxy", "http://q:1")], [Some("http://h"), None, Some("http://q:1")]),
            (
                Origin::Modelscope,
                None,
                &[("HF_TOKEN", "a"), ("MODELSCOPE_API_TOKEN", "c"), ("MODELSCOPE_DOMAIN", "www.modelscope.cn")],
                [Some("https://www.modelscope.cn"), Some("c"), None],
            ),
        ];
        for (origin, endpoint, variables, want) in cases {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let options = of(*origin, *endpoint, &variable);
            let proxy = options.proxy.as_ref().map(|proxy| proxy.address.as_str());
            assert_eq!([options.endpoint.as_deref(), options.token.as_deref(), proxy], *want, "{variables:?}");
        }
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://p:1".to_owned()),
            "NO_PROXY" => Some("localhost, .example".to_owned()),
            _ => None,
        };
        assert_eq!(of(hf, None, &variable).proxy.unwrap().except, ["localhost", ".example"]);
    }
}
