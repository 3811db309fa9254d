"""More than one machine: Ray gives clips and programs to the machines of a cluster, all of which see the lake."""
