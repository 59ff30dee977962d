"""The tables of hosts and identities: Arrow schemas only, each column with its unit and meaning."""

import pyarrow as pa

from alerce_dagster.surveys.tables import FLOAT, INT, TEXT, column

TRANSIENTS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("ra", FLOAT, "deg", "right ascension, ICRS"),
        column("dec", FLOAT, "deg", "declination, ICRS"),
        column("pos_err", FLOAT, "arcsec", "1-sigma error of the position along either axis"),
        column("mag", FLOAT, "mag", "brightest difference magnitude"),
    ]
)

CANDIDATES = pa.schema(
    [
        column("row", INT, "", "row of the transient that the galaxy is near"),
        column("catalog", TEXT, "", "catalogue of the galaxy"),
        column("catalog_id", TEXT, "", "its identifier there"),
        column("ra", FLOAT, "deg", "right ascension of its centre, ICRS"),
        column("dec", FLOAT, "deg", "declination of its centre, ICRS"),
        column("mag", FLOAT, "mag", "magnitude, r or near it"),
        column("major", FLOAT, "arcsec", "semi-major axis that holds half of its light"),
        column("minor", FLOAT, "arcsec", "semi-minor axis that holds half of its light"),
        column("angle", FLOAT, "deg", "position angle of the major axis, from north through east"),
        column("z", FLOAT, "", "redshift"),
        column("z_err", FLOAT, "", "1-sigma error of z"),
        column("z_kind", TEXT, "", "spectroscopic or photometric"),
    ]
)

HOSTS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("catalog", TEXT, "", "catalogue of the most probable host; null when no candidate is near"),
        column("catalog_id", TEXT, "", "its identifier there"),
        column("host_ra", FLOAT, "deg", "right ascension of its centre, ICRS"),
        column("host_dec", FLOAT, "deg", "declination of its centre, ICRS"),
        column("host_mag", FLOAT, "mag", "its magnitude, r or near it"),
        column("separation", FLOAT, "arcsec", "from its centre"),
        column("light_radii", FLOAT, "", "separation in units of its half-light radius towards the object"),
        column("chance_probability", FLOAT, "", "probability to find as bright a galaxy as close by chance"),
        column("probability", FLOAT, "", "that this is the host of an extragalactic transient"),
        column("p_unseen", FLOAT, "", "probability that the host is in none of the catalogues"),
        column("n_candidates", INT, "", "different galaxies that were considered"),
        column("redshift", FLOAT, "", "best redshift of the host"),
        column("redshift_err", FLOAT, "", "1-sigma error of redshift, as the catalogue gives it"),
        column("redshift_kind", TEXT, "", "spectroscopic or photometric"),
        column("redshift_catalog", TEXT, "", "catalogue of the redshift"),
        column("absolute_mag", FLOAT, "mag", "of the brightest detection at that redshift (Planck18, dust left in)"),
        column("absolute_mag_err", FLOAT, "mag", "1-sigma error of absolute_mag from the distance alone"),
        column("luminosity", TEXT, "", "plausible, too bright or too faint for a transient, or unknown"),
    ]
)

MEMBERS = pa.schema(
    [
        column("survey", TEXT, "", "survey of the object"),
        column("oid", TEXT, "", "the survey's object identifier"),
        column("ra", FLOAT, "deg", "mean right ascension, ICRS"),
        column("dec", FLOAT, "deg", "mean declination, ICRS"),
        column("first_mjd", FLOAT, "d", "first detection"),
        column("last_mjd", FLOAT, "d", "last detection"),
    ]
)
