//! Sizes as people write them.

/// Reads `500`, `128m`, `1.5 GB` or `2GiB`: k, m, g and t count in thousands, ki, mi, gi and ti in
/// 1,024s.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim().to_ascii_lowercase();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.trim().trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err("the unit is none of k, m, g, t, ki, mi, gi, ti".into()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let wrong = || "it is not a size, such as 500k or 2GiB".to_owned();
    if part.len() > 9 || (whole.is_empty() && part.is_empty()) {
        return Err(wrong());
    }
    let digits = |text: &str| match text {
        "" => Ok(0),
        text => text.parse::<u64>().map_err(|_| wrong()),
    };
    let whole = digits(whole)?
        .checked_mul(factor)
        .ok_or("it is larger than any file")?;
    let scale = 10_u128.pow(u32::try_from(part.len()).map_err(|_| wrong())?);
    let part = u128::from(digits(part)?) * u128::from(factor) / scale;
    let part = u64::try_from(part).map_err(|_| wrong())?;
    whole
        .checked_add(part)
        .ok_or_else(|| "it is larger than any file".into())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, size) in [
            ("0", 0),
            ("500", 500),
            ("128m", 128_000_000),
            ("1.5 GB", 1_500_000_000),
            ("2GiB", 2 << 30),
            (".5k", 500),
            ("10b", 10),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
        for wrong in ["", "m", "1x", "1.2.3", "-1", "99999999999t", "é", "1e9"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
