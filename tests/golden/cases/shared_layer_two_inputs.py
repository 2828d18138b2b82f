from keras.layers import Dense, Input, Subtract
from keras.models import Model

left = Input((12,), name="left")
right = Input((12,), name="right")
embed = Dense(8, activation="tanh", name="embed")
distance = Subtract()([embed(left), embed(right)])
score = Dense(1, activation="sigmoid")(distance)
siamese = Model([left, right], score)
# output
