'''No framework at all, and not formatted: nothing here may change.'''
import os,sys
from collections import  defaultdict

class Layer(object):
    def __init__( self,units ) :
        self.units=units ; self.name = "Dense"

    def __call__(self, x): return x*self.units


def build_model( depth = 3 ):
    layers=[Layer(i) for i in range(depth)]   # not those layers
    return layers

if __name__=='__main__':
    counts = defaultdict( int )
    for layer in build_model(int(sys.argv [1]) if len(sys.argv)>1 else 2):
        counts[layer.name] += 1
    print(dict(counts), os.sep)
