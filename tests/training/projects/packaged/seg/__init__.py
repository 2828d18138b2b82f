from .nets import make_net
