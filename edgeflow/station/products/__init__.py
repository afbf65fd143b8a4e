"""Products of a box: their bundles, verified and loaded, and the bundle that each part is judged by.

In: the box file's products, and parts that each carry their product. Out: for every part the bundle of its
own product, or the reason why there is none, which makes it UNDECIDED.

Threads: ``loader`` starts "products", which brings back bundles that gave up their memory. Read ``resident``
first, then ``opening``.
"""
