"""Reference catalogues: local copies with a snapshot hash, and the cross-match of positions with them.

A catalogue is a folder `NAME/SNAPSHOT` below ALERCE_HOME/catalogs: HEALPix-partitioned Parquet in HATS layout, which
LSDB reads, its sky coverage, and a companion index that is mapped into memory. In the order of the work: `formats`
reads files, `positions` finds and checks the coordinates, `recipes` knows the well-known catalogues, `build` writes a
catalogue, `hats` its metadata, `index` its companion, `kernel` searches it, `catalogue` opens and matches it,
`likelihood` weighs the matches, `library` is the folder of all of them, `cds` asks the CDS X-Match service instead.

What is made of positions and catalogues: `pairs` joins positions in memory, `hosts` (with `galaxies` and `luminosity`)
finds the galaxies of transients, `identity` tells which objects of several surveys are one.

Tables in, tables out: no database, no Dagster.
"""
