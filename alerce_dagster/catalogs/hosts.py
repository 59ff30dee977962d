"""Hosts of transients: which catalogued galaxy one belongs to, how sure that is, and that none may be seen at all.

Everything here is said on the condition that the object is a transient outside the Galaxy; whether it is one is the
business of classifiers. Each candidate galaxy gets the likelihood ratio of Sutherland & Saunders (1992, MNRAS 259, 413)

    L = q(m) f(x) / n(m)

where f is how light is spread over that galaxy (per square arcsec), q how bright hosts are, and n how many unrelated
galaxies of that brightness there are; with Q, the share of hosts that the catalogues hold, a candidate's probability
is L / (sum of L + 1 - Q), and that of a host not seen (1 - Q) / (sum of L + 1 - Q).

Distances from a galaxy are counted in its directional light radius (Sullivan et al. 2006, ApJ 648, 868; Gupta et al.
2016, AJ 152, 154). A galaxy without a shape is round and as large as galaxies of its magnitude are; the probability of
a chance coincidence (Bloom et al. 2002, AJ 123, 1111) is told beside.
"""

from math import gamma

import numpy as np
import pyarrow as pa
from numba import njit

from alerce_dagster.catalogs.luminosity import absolute_magnitude, luminosity, redshift_rank
from alerce_dagster.catalogs.schemas import CANDIDATES, HOSTS
from alerce_dagster.surveys.tables import FLOAT

CENTRE_ERROR = 0.2  # arcsec, of a catalogued galaxy centre
SAME_GALAXY = 1.5  # arcsec, or a quarter of the major axis if that is more: one galaxy in two catalogues
# Hosts are about 1.5 magnitudes brighter than the peak of what explodes in them: most stars are made in galaxies of
# M = -20.5, and supernovae that surveys find peak around -19. Wide enough for dwarf hosts and giant ones.
_BRIGHTER, _SPREAD = 1.5, 2.2
_UNKNOWN_MAG = 19.0  # of a transient without one
# A quarter of supernovae explode in early-type galaxies (Li et al. 2011, MNRAS 412, 1419), whose light reaches far.
_EARLY = 0.25
# b of Sérsic profiles of index 1 and 4, with which the unit radius holds half the light (Graham & Driver 2005).
_DISC, _SPHEROID = (1, 1.67835), (4, 7.66925)


def separation(ra1: np.ndarray, dec1: np.ndarray, ra2: np.ndarray, dec2: np.ndarray) -> np.ndarray:
    """Angle in arcsec between positions in degrees (haversine)."""
    a1, d1, a2, d2 = np.radians(ra1), np.radians(dec1), np.radians(ra2), np.radians(dec2)
    h = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((a2 - a1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.minimum(h, 1.0)))) * 3600


def position_angle(ra1: np.ndarray, dec1: np.ndarray, ra2: np.ndarray, dec2: np.ndarray) -> np.ndarray:
    """Direction in degrees, from north through east, in which the second positions lie from the first."""
    a1, d1, a2, d2 = np.radians(ra1), np.radians(dec1), np.radians(ra2), np.radians(dec2)
    east = np.sin(a2 - a1) * np.cos(d2)
    north = np.cos(d1) * np.sin(d2) - np.sin(d1) * np.cos(d2) * np.cos(a2 - a1)
    return np.degrees(np.arctan2(east, north)) % 360


def directional_light_radius(
    major: np.ndarray, minor: np.ndarray, angle: np.ndarray, direction: np.ndarray
) -> np.ndarray:
    """Radius of ellipses (n,) in a direction, in the unit of the axes; both angles in degrees from north.

    Gupta et al. 2016, equation 3.
    """
    phi = np.radians(direction - angle)
    return major * minor / np.hypot(major * np.sin(phi), minor * np.cos(phi))


def light_density(d: np.ndarray) -> np.ndarray:
    """Share of a galaxy's transients per area at `d` half-light radii, in units of the square of that radius.

    Three exponential discs to one de Vaucouleurs spheroid; the integral over the plane is 1.
    """

    def sersic(n: int, b: float) -> np.ndarray:
        return b ** (2 * n) / (2 * np.pi * n * gamma(2 * n)) * np.exp(-b * d ** (1 / n))

    return (1 - _EARLY) * sersic(*_DISC) + _EARLY * sersic(*_SPHEROID)


def bloom_counts(mag: np.ndarray) -> np.ndarray:
    """Galaxies per square arcsec brighter than `mag` in R (Bloom et al. 2002, equation 3, counts of Hogg 1997)."""
    return 10 ** (0.334 * (mag - 22.963) + 4.320) / (3600**2 * 0.334 * np.log(10))


def counts(mag: np.ndarray) -> np.ndarray:
    """Galaxies per square arcsec and magnitude at `mag` in r.

    Bloom's counts are of the faint sky. Brighter than 20.7 fewer galaxies are found: 92 per square degree brighter
    than 17.77 (Strauss et al. 2002, AJ 124, 1810), growing as 10**(0.6 m) as in a static, Euclidean space.
    """
    near = 92 / 3600**2 * 10 ** (0.6 * (mag - 17.77))
    far = bloom_counts(mag)
    return np.log(10) * np.where(near < far, 0.6 * near, 0.334 * far)


def typical_radius(mag: np.ndarray) -> np.ndarray:
    """Half-light radius in arcsec of galaxies of magnitude `mag` in r: 2.7 at 17.5 (SDSS), else by distance."""
    return np.clip(2.7 * 10 ** (-0.2 * (mag - 17.5)), 0.4, 120)


def chance_probability(sep: np.ndarray, mag: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Probability that a galaxy as bright lies as close by chance (Bloom et al. 2002, equations 1 to 3).

    `sep` and half-light `radius` in arcsec; the effective distance is sqrt(sep**2 + 4 radius**2).
    """
    return -np.expm1(-np.pi * (sep**2 + 4 * radius**2) * bloom_counts(mag))


def share_seen(mag: np.ndarray, depth: np.ndarray | float, completeness: np.ndarray | float) -> np.ndarray:
    """Q: share of the hosts of transients of magnitude `mag` (n,) that catalogues hold.

    They hold the share `completeness` of all galaxies down to magnitude `depth`, numbers or one for each (n,).
    """
    from scipy.stats import norm

    return completeness * norm.cdf(depth, _host_mag(mag), _SPREAD)


def associate(
    transients: pa.Table, candidates: pa.Table, depth: np.ndarray | float, completeness: np.ndarray | float
) -> tuple[pa.Table, pa.Table]:
    """The most probable host of each transient (schema HOSTS, in order), and all candidates with their probabilities.

    `transients` in schema TRANSIENTS; `candidates` in schema CANDIDATES, from any number of catalogues, among which
    one galaxy may be several times. `depth` and `completeness` as for `share_seen`, of all catalogues together there.
    The second table has the columns row, catalog, catalog_id, separation, probability, most probable first within a
    row, one line per galaxy. The result does not depend on the order of the candidates.
    """
    candidates = candidates.sort_by([(name, "ascending") for name in ("row", "catalog", "catalog_id")])
    galaxies = _galaxies(candidates)
    row = galaxies["row"]
    ra, dec, pos_err, mag = (transients[name].to_numpy() for name in ("ra", "dec", "pos_err", "mag"))

    sep = separation(galaxies["ra"], galaxies["dec"], ra[row], dec[row])
    direction = position_angle(galaxies["ra"], galaxies["dec"], ra[row], dec[row])
    blur = np.hypot(np.nan_to_num(pos_err[row]), CENTRE_ERROR)
    major, minor = np.hypot(galaxies["major"], blur), np.hypot(galaxies["minor"], blur)
    d = sep / directional_light_radius(major, minor, galaxies["angle"], direction)
    expected = _host_mag(mag[row])
    bright = np.where(np.isfinite(galaxies["mag"]), galaxies["mag"], expected)
    q = np.exp(-0.5 * ((bright - expected) / _SPREAD) ** 2) / (_SPREAD * np.sqrt(2 * np.pi))
    held = np.broadcast_to(completeness, mag.shape)[row]
    ratio = held * q * light_density(d) / (major * minor) / counts(bright)

    n = transients.num_rows
    unseen = 1 - share_seen(mag, depth, completeness)
    total = np.bincount(row, ratio, minlength=n) + unseen
    probability = ratio / total[row]
    order = np.lexsort((galaxies["first"], -probability, row))
    rows, starts = np.unique(row[order], return_index=True)
    best = np.full(n, -1)
    best[rows] = order[starts]

    chance = chance_probability(sep, bright, np.sqrt(galaxies["major"] * galaxies["minor"]))
    measured = {
        "host_ra": galaxies["ra"], "host_dec": galaxies["dec"], "host_mag": galaxies["mag"], "separation": sep,
        "light_radii": d, "chance_probability": chance, "probability": probability, "redshift": galaxies["z"],
        "redshift_err": galaxies["z_err"],
    }  # fmt: skip
    columns: dict[str, np.ndarray | pa.Array | pa.ChunkedArray] = {"oid": transients["oid"]}
    found = best >= 0
    for name, values in measured.items():
        columns[name] = np.where(found, values[best] if len(values) else np.nan, np.nan)
    columns |= {"p_unseen": unseen / total, "n_candidates": np.bincount(row, minlength=n)}
    columns["absolute_mag"], columns["absolute_mag_err"] = absolute_magnitude(
        mag, columns["redshift"], columns["redshift_err"]
    )
    columns["luminosity"] = luminosity(columns["absolute_mag"], columns["absolute_mag_err"])
    for name, source, index in (
        ("catalog", "catalog", "first"), ("catalog_id", "catalog_id", "first"),
        ("redshift_catalog", "catalog", "z_from"), ("redshift_kind", "z_kind", "z_from"),
    ):  # fmt: skip
        places = np.where(found, galaxies[index][best] if len(row) else -1, -1)
        columns[name] = candidates[source].take(pa.array(places, mask=places < 0))
    hosts = pa.table({f.name: _column(columns[f.name], f.type) for f in HOSTS}, schema=HOSTS)
    ranked = candidates.select(["catalog", "catalog_id"]).take(pa.array(galaxies["first"][order]))
    for name, values in (("probability", probability), ("separation", sep), ("row", row)):
        ranked = ranked.add_column(0, name, pa.array(values[order]))
    return hosts, ranked


def _host_mag(mag: np.ndarray) -> np.ndarray:
    """Expected magnitude of the host of a transient of magnitude `mag`."""
    return np.where(np.isfinite(mag), mag, _UNKNOWN_MAG) - _BRIGHTER


def _galaxies(candidates: pa.Table) -> dict[str, np.ndarray]:
    """One entry per galaxy near a transient, from its rows in all catalogues.

    Centre, shape and magnitude come from the catalogue that knows the shape, else the magnitude; what is missing
    there from the others; the redshift from the best one. `first` and `z_from` are the candidate rows that lead and
    that gave the redshift (-1 for none).
    """
    row = candidates["row"].to_numpy()
    values = {f.name: candidates[f.name].to_numpy() for f in CANDIDATES if f.type == FLOAT}
    shaped = np.isfinite(values["major"]) & (values["major"] > 0)
    has_mag = np.isfinite(values["mag"])
    # The stored order (catalogue, identifier) decides between equals, so that the result is a function of the rows.
    order = np.lexsort((np.arange(row.size), np.nan_to_num(values["mag"], nan=99.0), ~has_mag, ~shaped, row))
    catalog = np.unique(candidates["catalog"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    lead = _leaders(
        row[order], values["ra"][order], values["dec"][order], np.nan_to_num(values["major"][order]), catalog[order]
    )
    leader = np.empty(row.size, np.int64)
    leader[order] = order[lead]

    def first_known(name: str, known: np.ndarray, by: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each leader's rows, the value of the first in the order `by` where it is known, and that row."""
        chosen = by[known[by]][::-1]  # the last assignment stands
        source = np.full(row.size, -1)
        source[leader[chosen]] = chosen
        return np.where(source >= 0, values[name][source], np.nan) if row.size else values[name], source

    leaders = np.flatnonzero(leader == np.arange(row.size))
    kind = candidates["z_kind"].to_numpy(zero_copy_only=False).astype(str)
    rank = redshift_rank(kind, values["z"], values["z_err"])
    z, z_from = first_known("z", rank < 3, np.lexsort((np.argsort(order), rank)))
    mag, _ = first_known("mag", has_mag, order)
    major, shape_from = first_known("major", shaped, order)
    minor, angle = (np.where(shape_from >= 0, values[name][shape_from], np.nan) for name in ("minor", "angle"))
    typical = typical_radius(np.where(np.isfinite(mag), mag, _UNKNOWN_MAG - _BRIGHTER))
    major = np.where(np.isfinite(major), major, typical)
    minor = np.where(np.isfinite(minor) & (minor > 0), np.minimum(minor, major), major)
    z_err = np.where(z_from >= 0, values["z_err"][z_from], np.nan)
    made = {
        "row": row, "ra": values["ra"], "dec": values["dec"], "mag": mag, "major": major, "minor": minor,
        "angle": np.nan_to_num(angle), "z": z, "z_err": z_err, "z_from": z_from, "first": np.arange(row.size),
    }  # fmt: skip
    return {name: array[leaders] for name, array in made.items()}


@njit(cache=True)
def _leaders(row, ra, dec, major, catalog):
    """Index of the first entry of the same galaxy; entries sorted by row, each row's leaders first."""
    n = row.size
    leader = np.arange(n)
    start = 0
    for i in range(n):
        if row[i] != row[start]:
            start = i
        cos_dec = np.cos(np.radians(dec[i]))
        nearest = np.inf
        for j in range(start, i):
            if leader[j] != j or catalog[j] == catalog[i]:
                continue
            east = ((ra[j] - ra[i] + 180.0) % 360.0 - 180.0) * cos_dec * 3600.0
            north = (dec[j] - dec[i]) * 3600.0
            gap = np.hypot(east, north)
            if gap < nearest and gap <= max(SAME_GALAXY, 0.25 * major[j]):
                nearest = gap
                leader[i] = j
    return leader


def _column(values, kind: pa.DataType):
    """A column with null for NaN."""
    return values if isinstance(values, pa.ChunkedArray) else pa.array(values, kind, from_pandas=True)
