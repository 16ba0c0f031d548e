//! Tree to number.

use std::cmp::Ordering;

use super::Number::{self, Bool, Float, Int};
use super::number::int_of;
use super::parse::Tree;

/// A value while it is worked on.
#[derive(Clone, Debug)]
pub enum Item {
    One(Number),
    Many(Vec<Number>),
}

const TOO_LARGE: &str = "the result is too large";

/// Largest exponent of `pow`, as in ComfyUI.
const POW_EXPONENT_MAX: f64 = 4_000.0;
/// Largest operand of `**`, as in ComfyUI.
const POWER_MAX: f64 = 4_000_000.0;

/// The value of a tree.
pub fn eval(tree: &Tree, names: &[(String, Number)]) -> Result<Item, String> {
    let number = |tree: &Tree| match eval(tree, names)? {
        Item::One(number) => Ok(number),
        Item::Many(_) => Err("a list stands where a number should".to_string()),
    };
    Ok(Item::One(match tree {
        Tree::Number(value) => *value,
        Tree::Name(name) => return lookup(name, names),
        Tree::Unary(sign, operand) => unary(sign, number(operand)?)?,
        Tree::Binary("and", left, right) => {
            let left = number(left)?;
            if left.truth() { number(right)? } else { left }
        }
        Tree::Binary("or", left, right) => {
            let left = number(left)?;
            if left.truth() { left } else { number(right)? }
        }
        Tree::Binary(sign, left, right) => binary(sign, number(left)?, number(right)?)?,
        Tree::Chain(first, rest) => {
            let mut left = number(first)?;
            for (sign, right) in rest {
                let right = eval(right, names)?;
                if !holds(sign, left, &right)? {
                    return Ok(Item::One(Bool(false)));
                }
                if let Item::One(right) = right {
                    left = right;
                }
            }
            Bool(true)
        }
        Tree::Choice(parts) => {
            let [condition, then, otherwise] = &**parts;
            return eval(if number(condition)?.truth() { then } else { otherwise }, names);
        }
        Tree::Call(name, arguments) => {
            let arguments = arguments.iter().map(|argument| eval(argument, names)).collect::<Result<Vec<_>, _>>()?;
            call(name, &arguments)?
        }
        Tree::Item(list, index) => {
            let Item::Many(list) = eval(list, names)? else { return Err("only a list has items".into()) };
            let index = number(index)?.whole().ok_or("an item's place is a whole number")?;
            let place = if index < 0 { index + list.len() as i128 } else { index };
            let item = usize::try_from(place).ok().and_then(|place| list.get(place).copied());
            item.ok_or_else(|| format!("`values` has no item {index}"))?
        }
    }))
}

fn lookup(name: &str, names: &[(String, Number)]) -> Result<Item, String> {
    match name {
        "True" => return Ok(Item::One(Bool(true))),
        "False" => return Ok(Item::One(Bool(false))),
        "values" => return Ok(Item::Many(names.iter().map(|(_, value)| *value).collect())),
        _ => {}
    }
    let found = names.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| Item::One(*value)).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        format!("`{name}` is not known; the values are {}", known.join(", "))
    })
}

fn unary(sign: &str, value: Number) -> Result<Number, String> {
    match (sign, value) {
        ("not", value) => Ok(Bool(!value.truth())),
        ("-", Float(value)) => Ok(Float(-value)),
        ("+", Float(value)) => Ok(Float(value)),
        ("~", Float(_)) => Err("`~` takes whole numbers".into()),
        (sign, value) => {
            let value = value.whole().unwrap_or_default();
            match sign {
                "-" => value.checked_neg().map(Int).ok_or_else(|| TOO_LARGE.into()),
                "~" => Ok(Int(!value)),
                _ => Ok(Int(value)),
            }
        }
    }
}

fn binary(sign: &str, left: Number, right: Number) -> Result<Number, String> {
    if sign == "**" {
        if right.float().abs() > POWER_MAX || left.float().abs() > POWER_MAX {
            let (what, value) = if right.float().abs() > POWER_MAX { ("exponent", right) } else { ("base", left) };
            return Err(format!("the {what} {value} is too large"));
        }
        return power(left, right);
    }
    if matches!(sign, "/" | "//" | "%") && right.float() == 0.0 {
        return Err("division by zero".into());
    }
    if sign == "/" {
        return Ok(Float(left.float() / right.float()));
    }
    if let (Some(left), Some(right)) = (left.whole(), right.whole()) {
        return whole(sign, left, right).map(Int).ok_or_else(|| TOO_LARGE.into());
    }
    let (left, right) = (left.float(), right.float());
    Ok(Float(match sign {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "//" => (left / right).floor(),
        "%" => {
            let rest = left % right;
            if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }
        }
        _ => return Err(format!("`{sign}` takes whole numbers")),
    }))
}

fn whole(sign: &str, left: i128, right: i128) -> Option<i128> {
    match sign {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "//" => {
            let quotient = left.checked_div(right)?;
            Some(if left % right != 0 && (left < 0) != (right < 0) { quotient - 1 } else { quotient })
        }
        "%" => {
            let rest = left.checked_rem(right)?;
            Some(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest })
        }
        "&" => Some(left & right),
        "|" => Some(left | right),
        "^" => Some(left ^ right),
        "<<" => {
            let shift = u32::try_from(right).ok().filter(|&shift| shift < 127)?;
            left.checked_mul(1i128 << shift)
        }
        ">>" => Some(left >> right.clamp(0, 127)),
        _ => None,
    }
}

fn power(base: Number, exponent: Number) -> Result<Number, String> {
    if let (Some(base), Some(exponent)) = (base.whole(), exponent.whole())
        && exponent >= 0
    {
        let exponent = u32::try_from(exponent).map_err(|_| TOO_LARGE)?;
        return base.checked_pow(exponent).map(Int).ok_or_else(|| TOO_LARGE.into());
    }
    if base.float() == 0.0 && exponent.float() < 0.0 {
        return Err("division by zero".into());
    }
    let result = base.float().powf(exponent.float());
    if result.is_nan() { Err(format!("{base} ** {exponent} is no real number")) } else { Ok(Float(result)) }
}

fn holds(sign: &str, left: Number, right: &Item) -> Result<bool, String> {
    let right = match (sign, right) {
        ("in", Item::Many(list)) => return Ok(list.iter().any(|item| item.compare(left) == Some(Ordering::Equal))),
        ("in", Item::One(_)) => return Err("`in` takes a list on its right".into()),
        (_, Item::Many(_)) => return Err("a list stands where a number should".into()),
        (_, Item::One(right)) => *right,
    };
    let order = left.compare(right);
    Ok(match sign {
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        "==" => order == Some(Ordering::Equal),
        _ => order != Some(Ordering::Equal),
    })
}

const FUNCTIONS: [&str; 17] = [
    "sum", "min", "max", "abs", "round", "pow", "sqrt", "ceil", "floor", "log", "log2", "log10", "sin", "cos", "tan",
    "int", "float",
];

fn call(name: &str, arguments: &[Item]) -> Result<Number, String> {
    if !FUNCTIONS.contains(&name) {
        return Err(format!("`{name}` is no function; there are {}", FUNCTIONS.join(", ")));
    }
    let values: Vec<Number> = match (name, arguments) {
        ("sum" | "min" | "max", [Item::Many(list)]) => list.clone(),
        _ => arguments
            .iter()
            .map(|argument| match argument {
                Item::One(number) => Ok(*number),
                Item::Many(_) => Err(format!("`{name}` takes numbers, not a list")),
            })
            .collect::<Result<_, _>>()?,
    };
    match name {
        "sum" => return values.into_iter().try_fold(Int(0), |sum, value| binary("+", sum, value)),
        "min" | "max" => {
            let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
            let better = |best: Number, value: Number| if value.compare(best) == Some(wanted) { value } else { best };
            return values.into_iter().reduce(better).ok_or_else(|| format!("`{name}` takes at least one value"));
        }
        _ => {}
    }
    let most = if matches!(name, "round" | "pow" | "log") { 2 } else { 1 };
    let least = if name == "pow" { 2 } else { 1 };
    if !(least..=most).contains(&values.len()) {
        let range = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        let plural = if most == 1 { "" } else { "s" };
        return Err(format!("`{name}` takes {range} value{plural}, not {}", values.len()));
    }
    function(name, values[0], values.get(1).copied())
}

fn function(name: &str, value: Number, second: Option<Number>) -> Result<Number, String> {
    let undefined = || format!("`{name}` is not defined for {value}");
    let x = value.float();
    Ok(match (name, second) {
        ("abs", _) => match value.whole() {
            Some(value) => Int(value.checked_abs().ok_or(TOO_LARGE)?),
            None => Float(x.abs()),
        },
        ("round", None) => Int(value.whole().map_or_else(|| int_of(x.round_ties_even()), Ok)?),
        ("round", Some(digits)) => round_to(value, digits.whole().ok_or("`round` takes a whole number of digits")?)?,
        ("pow", Some(exponent)) if exponent.float().abs() > POW_EXPONENT_MAX => {
            return Err(format!("the exponent {exponent} is too large"));
        }
        ("pow", Some(exponent)) => power(value, exponent)?,
        ("ceil", _) => Int(value.whole().map_or_else(|| int_of(x.ceil()), Ok)?),
        ("floor", _) => Int(value.whole().map_or_else(|| int_of(x.floor()), Ok)?),
        ("int", _) => Int(value.truncated()?),
        ("float", _) => Float(x),
        ("sqrt", _) if x < 0.0 => return Err(undefined()),
        ("sqrt", _) => Float(x.sqrt()),
        ("log" | "log2" | "log10", _) if x <= 0.0 => return Err(undefined()),
        ("log", None) => Float(x.ln()),
        ("log", Some(base)) if base.float() <= 0.0 || base.float() == 1.0 => {
            return Err(format!("`log` is not defined for the base {base}"));
        }
        ("log", Some(base)) => Float(x.ln() / base.float().ln()),
        ("log2", _) => Float(x.log2()),
        ("log10", _) => Float(x.log10()),
        ("sin", _) => Float(x.sin()),
        ("cos", _) => Float(x.cos()),
        _ => Float(x.tan()),
    })
}

/// As Python rounds: by the exact decimal value, halves to even.
fn round_to(value: Number, digits: i128) -> Result<Number, String> {
    let digits = digits.clamp(-330, 330);
    match value.whole() {
        Some(value) if digits >= 0 => Ok(Int(value)),
        Some(value) => {
            let Some(unit) = u32::try_from(-digits).ok().and_then(|digits| 10i128.checked_pow(digits)) else {
                return Ok(Int(0));
            };
            let (below, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
            let up = rest * 2 > unit || (rest * 2 == unit && below % 2 != 0);
            let rounded = (below + i128::from(up)).checked_mul(unit);
            rounded.map(Int).ok_or_else(|| TOO_LARGE.into())
        }
        None if digits >= 0 => {
            // The printed decimal is rounded from the exact value, as Python's is.
            let text = format!("{:.*}", digits as usize, value.float());
            text.parse().map(Float).map_err(|_| format!("{value} cannot be rounded"))
        }
        None => {
            let unit = 10f64.powi((-digits) as i32);
            Ok(Float((value.float() / unit).round_ties_even() * unit))
        }
    }
}
